# configs/models/*.yaml -> a C file with their bytes, so that the program needs no file beside it. Included by
# src/CMakeLists.txt it sets MR_CATALOGUE_SOURCE; run as a script (OUTPUT, FILES) it writes that file.
if(NOT CMAKE_SCRIPT_MODE_FILE)
  file(GLOB catalogue_files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/configs/models/*.yaml)
  set(MR_CATALOGUE_SOURCE ${CMAKE_CURRENT_BINARY_DIR}/catalogue_builtin.c)
  add_custom_command(OUTPUT ${MR_CATALOGUE_SOURCE}
    COMMAND ${CMAKE_COMMAND} -DOUTPUT=${MR_CATALOGUE_SOURCE} "-DFILES=${catalogue_files}" -P ${CMAKE_CURRENT_LIST_FILE}
    DEPENDS ${catalogue_files} ${CMAKE_CURRENT_LIST_FILE} VERBATIM)
  return()
endif()

set(arrays "")
set(table "")
set(count 0)
foreach(path IN LISTS FILES)
  file(READ ${path} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  cmake_path(GET path FILENAME name)
  string(APPEND arrays "static const unsigned char text_${count}[] = { ${bytes} };\n")
  string(APPEND table "    { \"configs/models/${name}\", text_${count}, sizeof text_${count} },\n")
  math(EXPR count "${count} + 1")
endforeach()
file(WRITE ${OUTPUT} "#include \"registry/catalogue_entry.h\"\n\n${arrays}\nconst mr_catalogue_builtin mr_catalogue_builtins[] = {\n${table}};\nconst size_t mr_catalogue_builtin_count = ${count};\n")
