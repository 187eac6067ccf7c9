;; Makes a file in its first folder (descriptor 3), takes its name away, and writes to it without end.
;; What it takes is the host's disk, in a file that no folder shows: that must be bounded for a task's own volumes.
;; Expected end: none by itself in a folder of the host; 137 in a volume of the task's own, once that holds more than the task's storage.
(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_unlink_file" (func $unlink (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 0) "file")
  ;; One piece of 64 KiB, at 65536.
  (data (i32.const 16) "\00\00\01\00\00\00\01\00")
  (func (export "_start")
    ;; Flags 1: make it. Rights 0x40: to write.
    (if (call $path_open
          (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 4) (i32.const 1)
          (i64.const 0x40) (i64.const 0x40) (i32.const 0) (i32.const 32))
      (then (unreachable)))
    (if (call $unlink (i32.const 3) (i32.const 0) (i32.const 4)) (then (unreachable)))
    (loop $again
      (br_if $again (i32.eqz (call $write (i32.load (i32.const 32)) (i32.const 16) (i32.const 1) (i32.const 40)))))
    (unreachable)))
