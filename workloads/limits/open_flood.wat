;; Opens its first folder (descriptor 3) again and again and closes nothing, until that is refused; then it spins.
;; What it takes are the host's descriptors: those must be bounded for each task.
;; Expected end: none by itself; 137 when it is stopped.
(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) ".")
  (func (export "_start")
    (block $refused
      (loop $again
        ;; Flags 2: the path must be a folder. Rights 0x4000: to read the folder.
        (br_if $refused (call $path_open
          (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 1) (i32.const 2)
          (i64.const 0x4000) (i64.const 0x4000) (i32.const 0) (i32.const 0)))
        (br $again)))
    (loop $spin
      (br $spin))))
