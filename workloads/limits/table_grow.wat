;; Grows a table without end, 1,024 elements at a time: host memory that is no linear memory.
;; Expected end: 137, out of memory.
(module
  (memory (export "memory") 1)
  (table $table 1 funcref)
  (func (export "_start")
    (loop $again
      (if (i32.eq (table.grow $table (ref.null func) (i32.const 1024)) (i32.const -1)) (then (unreachable)))
      (br $again))))
