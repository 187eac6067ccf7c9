;; Spins in the start function: the guest burns CPU before `_start` is called, while it is being instantiated.
;; Expected end: none by itself; 137 when it is stopped.
(module
  (memory (export "memory") 1)
  (func $spin
    (loop $again
      (br $again)))
  (start $spin)
  (func (export "_start")))
