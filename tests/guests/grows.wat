;; Grows two memories and a table, to 4 MiB and 100 elements with what it began with, and answers
;; no task.
(memory $other 1)
(table $many 1 funcref)
(func (export "gantry:phase/prompt@0.9.0#prompt") (result i32)
  (drop (memory.grow $memory (i32.const 30)))
  (drop (memory.grow $other (i32.const 31)))
  (drop (table.grow $many (ref.null func) (i32.const 99)))
  (i32.const 1024))
