;; Waits until its standard input ends, which is how the host asks it to stop, and ends with 0. What it is sent meanwhile is dropped.
;; Exit: 0. Fuel: 10 a wake-up. Memory: one page of 64 KiB.
(module
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  ;; At 0 a buffer of 1 KiB by its place and length, at 8 how much was read.
  (data (i32.const 0) "\10\00\00\00\00\04\00\00")
  (func (export "_start")
    (loop $more
      ;; An error is the end as well.
      (if (i32.eqz (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
        (then (br_if $more (i32.load (i32.const 8))))))))
