;; Fills and copies 256 MiB by one instruction each, over and over: long instructions in which a guest cannot yield.
;; It takes as much memory as it gets, up to that size.
;; Expected end: none by itself; 137 when it is stopped.
(module
  (memory (export "memory") 1)
  (func (export "_start")
    (local $half i32)
    (block $enough
      (loop $more
        (br_if $enough (i32.ge_u (memory.size) (i32.const 4096)))
        (br_if $more (i32.ne (memory.grow (i32.const 15)) (i32.const -1)))))
    (local.set $half (i32.mul (memory.size) (i32.const 0x8000)))
    (loop $again
      (memory.fill (i32.const 0) (i32.const 1) (i32.mul (local.get $half) (i32.const 2)))
      (memory.copy (local.get $half) (i32.const 0) (local.get $half))
      (br $again))))
