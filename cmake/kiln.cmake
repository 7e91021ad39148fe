# Options, warnings and the two helpers that every folder uses.
option(KILN_TESTS "build the tests" ON)
set(KILN_SANITIZE "" CACHE STRING "sanitizers, as -fsanitize spells them: address,undefined or thread")

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_program(KILN_MOLD mold)

# Imported targets are global: a static library hands its LINK_ONLY dependencies to users in other folders.
set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL ON)
find_package(TBB REQUIRED)
find_package(nlohmann_json REQUIRED)
pkg_check_modules(ISAL REQUIRED IMPORTED_TARGET GLOBAL libisal)
pkg_check_modules(CURL REQUIRED libcurl)

# kiln::NAME links pkg-config's PACKAGE from its archive where there is one: loading and relocating shared libraries, half
# of them libarchive's for formats that kiln does not read, was a third of a build that finds everything cached.
foreach(library expat:expat xxhash:libxxhash ssl:libssl crypto:libcrypto crypt:libcrypt sqlite3:sqlite3 archive:libarchive zstd:libzstd seccomp:libseccomp yaml:yaml-0.1
                z:zlib bz2:bzip2 lzma:liblzma)
  string(REPLACE ":" ";" library ${library})
  list(GET library 0 name)
  list(GET library 1 package)
  pkg_search_module(${name} IMPORTED_TARGET GLOBAL ${package} ${name})
  find_library(${name}_ARCHIVE NAMES lib${name}.a)
  add_library(kiln_lib_${name} INTERFACE)
  add_library(kiln::${name} ALIAS kiln_lib_${name})
  # The sanitizers stand before crypt_r, and look for the real one among the shared libraries.
  if(${name}_ARCHIVE AND NOT (KILN_SANITIZE AND name STREQUAL "crypt"))
    target_link_libraries(kiln_lib_${name} INTERFACE ${${name}_ARCHIVE} ${CMAKE_DL_LIBS})
    target_include_directories(kiln_lib_${name} SYSTEM INTERFACE ${${name}_INCLUDE_DIRS})
  elseif(${name}_FOUND)
    target_link_libraries(kiln_lib_${name} INTERFACE PkgConfig::${name})
  else()
    message(FATAL_ERROR "${package} is not installed: scripts/install-deps installs it")
  endif()
endforeach()
target_link_libraries(kiln_lib_sqlite3 INTERFACE m)

add_library(kiln_options INTERFACE)
target_compile_options(kiln_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wcast-align -Wextra-semi -Werror
  $<$<CXX_COMPILER_ID:GNU>:-Wlogical-op>
  # g++ 12 sees dangling pointers and uninitialised members in correct std::variant and optional code at -O2 (PR 105562, 107852).
  $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized -Wno-restrict -Wno-stringop-overread -Wno-array-bounds -Wno-stringop-overflow -Wno-free-nonheap-object>)
target_compile_definitions(kiln_options INTERFACE _FILE_OFFSET_BITS=64 KILN_VERSION="${PROJECT_VERSION}")
target_include_directories(kiln_options INTERFACE ${PROJECT_SOURCE_DIR})
target_link_libraries(kiln_options INTERFACE Threads::Threads)
if(KILN_MOLD)
  target_link_options(kiln_options INTERFACE -fuse-ld=mold)
endif()
if(CMAKE_UNITY_BUILD)
  # Warns of anonymous types in a .cc because it is included in another; the dev preset sees it as a main file.
  target_compile_options(kiln_options INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
endif()
if(KILN_SANITIZE)
  # clang 14 cannot give a coroutine the mark that its check of function types wants.
  target_compile_options(kiln_options INTERFACE -fsanitize=${KILN_SANITIZE} $<$<CXX_COMPILER_ID:Clang>:-fno-sanitize=function>
    -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(kiln_options INTERFACE -fsanitize=${KILN_SANITIZE})
endif()

# kiln_if_built(name text): `text` holds for ctest if the test binary of that name is there. So a build directory need not
# have all of them, and one ctest can run those of several build directories (`make test`).
function(kiln_if_built name text)
  set(file ${CMAKE_CURRENT_BINARY_DIR}/${name}_if_built.cmake)
  file(WRITE ${file} "if(EXISTS \"${CMAKE_CURRENT_BINARY_DIR}/${name}\")\n${text}\nendif()\n")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${file})
endfunction()

# kiln_library(name DEPS kiln libraries... LIBS other libraries...): all .cc files of the current folder.
function(kiln_library name)
  cmake_parse_arguments(ARG "" "" "DEPS;LIBS;SOURCES" ${ARGN})
  if(ARG_SOURCES)
    set(sources ${ARG_SOURCES})
  else()
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  endif()
  if(sources)
    add_library(${name} STATIC ${sources})
    target_link_libraries(${name} PUBLIC kiln_options ${ARG_DEPS} PRIVATE ${ARG_LIBS})
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE kiln_options ${ARG_DEPS})
  endif()
endfunction()

# kiln_test(name folder DEPS libraries... [TOGETHER filter]): one gtest binary from all *_test.cc (and *.cc) of a folder.
# The tests of `filter`, of which there are hundreds with a set-up in common, run in a few processes instead of one each.
function(kiln_test name folder)
  cmake_parse_arguments(ARG "" "TOGETHER" "DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${folder}/*.cc)
  if(sources)
    add_executable(${name} ${sources})
    target_link_libraries(${name} PRIVATE kiln_options ${ARG_DEPS} GTest::gmock GTest::gtest_main)
    target_compile_definitions(${name} PRIVATE KILN_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
    # What is tested is optimised; the tests themselves only wait for the compiler.
    target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O0>)
    if(KILN_SANITIZE)
      # A sanitizer takes 0.2 s to start, most tests less than that to run: a binary is one test.
      kiln_if_built(${name} "add_test(${name} \"${CMAKE_CURRENT_BINARY_DIR}/${name}\" --gtest_brief=1)
        set_tests_properties(${name} PROPERTIES TIMEOUT 900 LABELS sanitized.${name} WORKING_DIRECTORY \"${PROJECT_BINARY_DIR}\")")
      return()
    endif()
    if(ARG_TOGETHER)
      set(together TEST_FILTER "-${ARG_TOGETHER}")
      set(shards 8)
      math(EXPR last "${shards} - 1")
      foreach(shard RANGE ${last})
        add_test(NAME ${name}.together.${shard} COMMAND ${name} --gtest_brief=1 --gtest_filter=${ARG_TOGETHER})
        # COST: the longest first, so that none of them runs alone at the end.
        set_tests_properties(${name}.together.${shard} PROPERTIES TIMEOUT 300 COST 60 LABELS ${name}
          ENVIRONMENT "GTEST_TOTAL_SHARDS=${shards};GTEST_SHARD_INDEX=${shard}")
      endforeach()
    endif()
    gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST NO_PRETTY_VALUES WORKING_DIRECTORY ${PROJECT_BINARY_DIR}
      ${together} PROPERTIES TIMEOUT 300 LABELS ${name})
    if(name MATCHES "^unit_")
      # `make test` runs these under the sanitizers alone. Not built, a binary would be a test that fails.
      get_property(files DIRECTORY PROPERTY TEST_INCLUDE_FILES)
      list(POP_BACK files discovered)
      set_property(DIRECTORY PROPERTY TEST_INCLUDE_FILES ${files})
      kiln_if_built(${name} "include(\"${discovered}\")")
    endif()
  endif()
endfunction()

# kiln_fuzz(name DEPS libraries...): tests/fuzz/name.cc with libFuzzer, as fuzz_name. Its test runs what is kept in
# testdata/fuzz/name (seeds, and inputs that broke something once) and a fixed number of mutations from a fixed seed.
function(kiln_fuzz name)
  cmake_parse_arguments(ARG "" "RUNS" "DEPS" ${ARGN})
  set(target fuzz_${name})
  add_executable(${target} ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/${name}.cc)
  target_link_libraries(${target} PRIVATE kiln_options ${ARG_DEPS})
  target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
  target_link_options(${target} PRIVATE -fsanitize=fuzzer)
  set(seeds ${PROJECT_SOURCE_DIR}/testdata/fuzz/${name})
  set(dictionary ${PROJECT_SOURCE_DIR}/testdata/fuzz/${name}.dict)
  set(options "-seed=1 -runs=${ARG_RUNS} -timeout=20 -max_len=4096 -rss_limit_mb=1024 -verbosity=0")
  if(EXISTS ${dictionary})
    string(APPEND options " -dict=${dictionary}")
  endif()
  # libFuzzer adds what it finds to the first folder: an empty one, or the next run would be another.
  kiln_if_built(${target} "add_test(${target} sh -c \"rm -rf ${target}.seen && mkdir ${target}.seen && \
exec ./${target} ${options} -artifact_prefix=${target}- ${target}.seen '${seeds}'\")
    set_tests_properties(${target} PROPERTIES TIMEOUT 300 LABELS sanitized.fuzz WORKING_DIRECTORY \"${CMAKE_CURRENT_BINARY_DIR}\")")
endfunction()
