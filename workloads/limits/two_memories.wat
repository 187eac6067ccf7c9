;; Grows two memories in turn, page by page, and touches each page: a limit held for each memory alone would let it
;; have twice as much.
;; Expected end: 137, out of memory.
(module
  (memory $first (export "memory") 1)
  (memory $second 1)
  (func (export "_start")
    (local $page i32)
    (loop $again
      (local.set $page (memory.grow $first (i32.const 1)))
      (if (i32.eq (local.get $page) (i32.const -1)) (then (unreachable)))
      (i32.store $first (i32.mul (local.get $page) (i32.const 0x10000)) (i32.const 1))
      (local.set $page (memory.grow $second (i32.const 1)))
      (if (i32.eq (local.get $page) (i32.const -1)) (then (unreachable)))
      (i32.store $second (i32.mul (local.get $page) (i32.const 0x10000)) (i32.const 1))
      (br $again))))
