;; Its list says that it has a billion tasks.
(func (export "gantry:phase/prompt@0.9.0#prompt") (result i32) (i32.const 1024))
(data (i32.const 1024) "\00\00\00\00\20\04\00\00\00\ca\9a\3b")
