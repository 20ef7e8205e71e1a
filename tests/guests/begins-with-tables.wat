;; Begins with a table of a hundred million elements.
(table 100000000 funcref)
(func (export "gantry:phase/prompt@0.9.0#prompt") (result i32) (i32.const 1024))
