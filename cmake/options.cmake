option(MILLRACE_TESTS "Build the tests" OFF)
option(MILLRACE_FUZZ "Build the libFuzzer targets (clang only)" OFF)
set(MILLRACE_FUZZ_SECONDS 5 CACHE STRING "How long CTest runs each fuzz target")
option(MILLRACE_OPENMP "Let a worker split its work over an OpenMP team" ON)
set(MILLRACE_SANITIZE "" CACHE STRING "address,undefined or thread")

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

add_compile_definitions(_GNU_SOURCE)
if(MILLRACE_TESTS)
  add_compile_definitions(MILLRACE_FAULTS) # src/core/fault.h
endif()
add_compile_options(-Wall -Wextra -Werror=vla -Werror=missing-prototypes -Wshadow -Wstrict-prototypes
  -Wpointer-arith -ffp-contract=off -fno-math-errno)
if(MILLRACE_SANITIZE)
  add_compile_options(-fsanitize=${MILLRACE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${MILLRACE_SANITIZE})
endif()

# libFuzzer steers by coverage of the code under test, so every library is instrumented.
if(MILLRACE_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# OpenMP: wanted in release; left out under ThreadSanitizer, which cannot see libgomp's synchronisation.
add_library(dep_openmp INTERFACE)
if(MILLRACE_OPENMP)
  find_package(OpenMP REQUIRED COMPONENTS C)
  target_link_libraries(dep_openmp INTERFACE OpenMP::OpenMP_C)
else()
  target_compile_options(dep_openmp INTERFACE -Wno-unknown-pragmas)
endif()
