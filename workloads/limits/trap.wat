;; Executes `unreachable` at once.
;; Expected end: 134, a trap.
(module
  (memory (export "memory") 1)
  (func (export "_start")
    (unreachable)))
