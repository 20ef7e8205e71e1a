;; Exports a step that came later.
(func (export "gantry:phase/review@0.9.2#review"))
