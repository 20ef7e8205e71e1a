;; Begins with a memory of four gigabytes.
(memory $huge 65536)
(func (export "gantry:phase/prompt@0.9.0#prompt") (result i32) (i32.const 1024))
