;; Answers with a list that lies outside of its memory.
(func (export "gantry:phase/prompt@0.9.0#prompt") (result i32) (i32.const 1024))
(data (i32.const 1024) "\00\00\00\00\00\00\00\f0\01\00\00\00")
