;; Adds one to each word of a page, over and over: a spinning guest whose fuel buys loads and stores.
;; Expected end: none by itself; 137 when it is stopped.
(module
  (memory (export "memory") 1)
  (func (export "_start")
    (local $address i32)
    (loop $again
      (i32.store (local.get $address) (i32.add (i32.load (local.get $address)) (i32.const 1)))
      (local.set $address (i32.and (i32.add (local.get $address) (i32.const 4)) (i32.const 0xffff)))
      (br $again))))
