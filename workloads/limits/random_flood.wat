;; Asks for 1 MiB of random bytes again and again: the CPU is burnt by the host, and almost no fuel.
;; Expected end: none by itself; 137 when it is stopped.
(module
  (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
  (memory (export "memory") 16)
  (func (export "_start")
    (loop $again
      (drop (call $random_get (i32.const 0) (i32.const 0x100000)))
      (br $again))))
