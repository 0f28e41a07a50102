# manypath_targets.cmake: the settings every target of this project shares.
# SPDX-License-Identifier: Apache-2.0

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")

find_program(MANYPATH_CCACHE ccache)
if(MANYPATH_CCACHE)
    set(CMAKE_C_COMPILER_LAUNCHER "${MANYPATH_CCACHE}")
    set(CMAKE_CXX_COMPILER_LAUNCHER "${MANYPATH_CCACHE}")
endif()

# Warnings, standard and include root; linked privately by every target below.
add_library(manypath_settings INTERFACE)
target_include_directories(manypath_settings INTERFACE "${PROJECT_SOURCE_DIR}")
target_compile_definitions(manypath_settings INTERFACE
    _GNU_SOURCE MANYPATH_VERSION="${PROJECT_VERSION}")
target_compile_options(manypath_settings INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast
    -Wnon-virtual-dtor -Woverloaded-virtual -Wnull-dereference -fno-strict-aliasing
    $<$<BOOL:${MANYPATH_WERROR}>:-Werror>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # g++ 12 reports false null dereferences inside coroutine frames and std::vector.
    target_compile_options(manypath_settings INTERFACE -Wno-null-dereference)
endif()

# Sanitizers stay out of libmanypath.so, which other programs load.
add_library(manypath_sanitizers INTERFACE)
if(MANYPATH_SANITIZE)
    set(_flags -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_compile_options(manypath_sanitizers INTERFACE ${_flags})
    target_link_options(manypath_sanitizers INTERFACE ${_flags})
endif()

# manypath_library(NAME SOURCES... [LINK targets...]): a static library of one folder.
function(manypath_library name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "LINK")
    add_library(${name} STATIC ${arg_UNPARSED_ARGUMENTS})
    target_link_libraries(${name} PUBLIC manypath_settings manypath_sanitizers ${arg_LINK})
endfunction()

# manypath_program(NAME SOURCES... [LINK targets...]): an executable in build/bin.
function(manypath_program name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "LINK")
    add_executable(${name} ${arg_UNPARSED_ARGUMENTS})
    target_link_libraries(${name} PRIVATE manypath_settings manypath_sanitizers ${arg_LINK})
endfunction()
