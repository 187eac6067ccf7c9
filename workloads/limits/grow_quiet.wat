;; Grows its memory page by page, touches each page, and ends in order when a growth is refused: it can do with less.
;; Expected end: 0, for a refusal that the guest copes with is no failure.
(module
  (memory (export "memory") 1)
  (func (export "_start")
    (local $page i32)
    (block $refused
      (loop $again
        (local.set $page (memory.grow (i32.const 1)))
        (br_if $refused (i32.eq (local.get $page) (i32.const -1)))
        (i32.store (i32.mul (local.get $page) (i32.const 0x10000)) (i32.const 1))
        (br $again)))))
