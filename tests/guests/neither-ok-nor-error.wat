;; Its answer is neither an answer nor an error.
(func (export "gantry:phase/prompt@0.9.0#prompt") (result i32) (i32.const 1024))
(data (i32.const 1024) "\09\00\00\00\00\00\00\00\00\00\00\00")
