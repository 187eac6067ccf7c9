;; Grows its memory page by page, touches each page, and traps when a growth is refused, as most programs do.
;; Expected end: 137, out of memory.
(module
  (memory (export "memory") 1)
  (func (export "_start")
    (local $page i32)
    (loop $again
      (local.set $page (memory.grow (i32.const 1)))
      (if (i32.eq (local.get $page) (i32.const -1)) (then (unreachable)))
      (i32.store (i32.mul (local.get $page) (i32.const 0x10000)) (i32.const 1))
      (br $again))))
