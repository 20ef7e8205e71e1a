;; Requests a capability that no host has.
(func (export "gantry:phase/prompt@0.9.0#prompt") (result i32) (i32.const 1024))
(data (i32.const 52) "\00\06\00\00\01\00\00\00")
(data (i32.const 0x600) "\10\06\00\00\07\00\00\00\00\00\00\00\00\00\00\00network")
