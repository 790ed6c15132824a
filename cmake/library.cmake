# mr_library(NAME DIR path/from/root MAY_INCLUDE lib... [USES dep...] [SOURCES extra...])
#
# A folder becomes the static library mr_NAME: all its *.c files, plus SOURCES. Registers (folder, allowed
# folders) for the include check.
set_property(GLOBAL PROPERTY MR_INCLUDE_RULES "")
set_property(GLOBAL PROPERTY MR_LIBRARIES "")

function(mr_library name)
  cmake_parse_arguments(arg "" "DIR" "MAY_INCLUDE;USES;SOURCES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${arg_DIR}/*.c)
  add_library(mr_${name} STATIC ${sources} ${arg_SOURCES})
  target_include_directories(mr_${name} PUBLIC ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/src)
  foreach(other IN LISTS arg_MAY_INCLUDE)
    target_link_libraries(mr_${name} PUBLIC mr_${other})
  endforeach()
  foreach(dependency IN LISTS arg_USES)
    target_link_libraries(mr_${name} PUBLIC dep_${dependency})
  endforeach()
  string(JOIN "," allowed ${arg_MAY_INCLUDE})
  set_property(GLOBAL APPEND PROPERTY MR_INCLUDE_RULES "${name}|${arg_DIR}|${allowed}")
  set_property(GLOBAL APPEND PROPERTY MR_LIBRARIES mr_${name})
endfunction()
