;; Writes blocks of 64 KiB to stdout without end, whatever becomes of them: what the host keeps of them must be bounded.
;; Expected end: none by itself; 137 when it is stopped.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (func (export "_start")
    ;; The block is the second page, filled with lines of a full stop; one vector at address 0 names it.
    (memory.fill (i32.const 0x10000) (i32.const 0x2e) (i32.const 0x10000))
    (i32.store8 (i32.const 0x1ffff) (i32.const 0x0a))
    (i32.store (i32.const 0) (i32.const 0x10000))
    (i32.store (i32.const 4) (i32.const 0x10000))
    (loop $again
      (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
      (br $again))))
