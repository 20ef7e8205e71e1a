;; Extism: grows a table as long as it may.
(table 1 funcref)
(func (export "prompt") (result i32)
  (block $full (loop $more
    (br_if $full (i32.eq (table.grow (ref.null func) (i32.const 1000)) (i32.const -1)))
    (br $more)))
  ;; A table of 20,000 elements is full after nineteen times a thousand more.
  (if (i32.gt_u (table.size) (i32.const 20000)) (then (return (i32.const 0))))
  unreachable)
