;; Calls itself without end.
;; Expected end: 134, a trap for the exhausted call stack.
(module
  (memory (export "memory") 1)
  (func $descend (param $depth i32) (result i32)
    (i32.add (call $descend (i32.add (local.get $depth) (i32.const 1))) (i32.const 1)))
  (func (export "_start")
    (drop (call $descend (i32.const 0)))))
