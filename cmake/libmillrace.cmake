# libmillrace: every folder's library in one, shared and static, behind src/millrace.h, and how others find it.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

get_property(folders GLOBAL PROPERTY MR_LIBRARIES)
string(JOIN "," folder_list ${folders})
file(WRITE ${CMAKE_BINARY_DIR}/api.c "#include \"millrace.h\"\n")
add_library(millrace_shared SHARED ${CMAKE_BINARY_DIR}/api.c)
target_link_libraries(millrace_shared PRIVATE mr_pipelines)
target_include_directories(millrace_shared INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
set_target_properties(millrace_shared PROPERTIES LINK_LIBRARY_OVERRIDE "WHOLE_ARCHIVE,${folder_list}" OUTPUT_NAME millrace VERSION ${PROJECT_VERSION} SOVERSION 0
  EXPORT_NAME millrace PUBLIC_HEADER src/millrace.h LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})

set(archive ${CMAKE_BINARY_DIR}/libmillrace.a)
list(TRANSFORM folders REPLACE "(.+)" "ADDLIB $<TARGET_FILE:\\1>" OUTPUT_VARIABLE script)
string(JOIN "\n" script "CREATE ${archive}" ${script} "SAVE" "END" "")
file(GENERATE OUTPUT ${CMAKE_BINARY_DIR}/libmillrace.mri CONTENT "${script}")
add_custom_command(OUTPUT ${archive} COMMAND ${CMAKE_AR} -M < ${CMAKE_BINARY_DIR}/libmillrace.mri DEPENDS ${folders} VERBATIM)
add_custom_target(millrace_static ALL DEPENDS ${archive})

install(TARGETS millrace_shared EXPORT millrace)
install(FILES ${archive} TYPE LIB)

# find_package(millrace): the target millrace::millrace, which is the shared library.
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/millrace)
install(EXPORT millrace NAMESPACE millrace:: FILE millrace-config.cmake DESTINATION ${package_dir})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/millrace-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/millrace-config-version.cmake DESTINATION ${package_dir})

# pkg-config --libs millrace; with --static what libmillrace.a needs.
get_property(link_flags GLOBAL PROPERTY MR_LINK_FLAGS)
file(RELATIVE_PATH MR_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(JOIN " " MR_LIBS ${link_flags} ${OpenMP_C_FLAGS} -lpthread -lm)
configure_file(cmake/millrace.pc.in ${CMAKE_BINARY_DIR}/millrace.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/millrace.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
