;; Spins in a tight loop: all the CPU that it is given, for ever, without a host call.
;; Expected end: none by itself; 137 when it is stopped.
(module
  (memory (export "memory") 1)
  (func (export "_start")
    (loop $again
      (br $again))))
