# The tables of architectures follow from the file names: adding src/models/encoder_<name>.c adds an encoder, tower_<name>.c a
# vision tower.
function(mr_architecture_table kind out)
  file(GLOB files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/models/${kind}_*.c)
  list(SORT files)
  list(TRANSFORM files REPLACE ".*/(${kind}_[a-z0-9_]+)\\.c$" "mr_\\1" OUTPUT_VARIABLE symbols)
  list(TRANSFORM symbols PREPEND "&" OUTPUT_VARIABLE addresses)
  list(JOIN symbols ", " MR_SYMBOLS)
  list(JOIN addresses ", " MR_ADDRESSES)
  configure_file(${PROJECT_SOURCE_DIR}/src/models/${kind}_table.c.in ${CMAKE_CURRENT_BINARY_DIR}/${kind}_table.c @ONLY)
  set(${out} ${CMAKE_CURRENT_BINARY_DIR}/${kind}_table.c PARENT_SCOPE)
endfunction()
