;; Takes 40 MiB of memory, touches every page, and keeps it while it sleeps for an hour.
;; Expected end: 0 after the hour; 137 when it is stopped, or out of memory when the task has no 40 MiB left.
(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  ;; One subscription: the monotonic clock (id 1), relative, in 3,600 s.
  (func $sleep_an_hour
    (i32.store8 (i32.const 8) (i32.const 0))
    (i32.store (i32.const 16) (i32.const 1))
    (i64.store (i32.const 24) (i64.const 3_600_000_000_000))
    (if (call $poll_oneoff (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128))
      (then (unreachable))))
  (func (export "_start")
    (local $address i32)
    (if (i32.eq (memory.grow (i32.const 639)) (i32.const -1)) (then (unreachable)))
    (loop $again
      (i32.store (local.get $address) (i32.const 1))
      (local.set $address (i32.add (local.get $address) (i32.const 4096)))
      (br_if $again (i32.lt_u (local.get $address) (i32.const 0x2800000))))
    (memory.fill (i32.const 0) (i32.const 0) (i32.const 4096))
    (call $sleep_an_hour)))
