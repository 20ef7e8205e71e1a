;; Says with a terminal's escape codes that it failed itself.
(func (export "gantry:phase/prompt@0.9.0#prompt") (result i32) (i32.const 1024))
(data (i32.const 1024) "\01\00\00\00\02\00\00\00\00\05\00\00\04\00\00\00")
(data (i32.const 0x500) "\1b[2J")
