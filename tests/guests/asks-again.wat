;; Asks for the job's params a hundred times, then answers no task.
(import "gantry:phase/job@0.9.0" "params" (func $params (param i32)))
(func (export "gantry:phase/prompt@0.9.0#prompt") (result i32) (local $times i32)
  (loop $again
    (call $params (i32.const 2048))
    (local.set $times (i32.add (local.get $times) (i32.const 1)))
    (br_if $again (i32.lt_u (local.get $times) (i32.const 100))))
  (i32.const 1024))
