//! The steps as traits, and the macro that turns a type into a component's exports. It exports
//! nothing on other targets than wasm32, where the same code is an ordinary crate with tests.

use crate::{Error, Job, Manifest, Plan, Task, Verdict};

/// What the plugin is. Every plugin has it.
pub trait Describe {
    /// Always answers the same; there is no job.
    fn describe() -> Manifest;
}

/// What the agent is asked.
pub trait Prompt {
    /// The tasks of this attempt, in order. None: straight to `validate`.
    fn prompt(job: &Job) -> Result<Vec<Task>, Error>;
}

/// Whether what the agent left will do.
pub trait Validate {
    /// Asked when every task ended well; the agent isn't running.
    fn validate(job: &Job) -> Result<Verdict, Error>;
}

/// What of the workspace becomes a site.
pub trait Deploy {
    /// Says what to publish; the host does it.
    fn deploy(job: &Job) -> Result<Plan, Error>;
}

/// The plugin's own test.
pub trait SelfTest {
    /// Runs before the plugin may serve, without a job; an error keeps the old one on.
    fn self_test() -> Result<(), String>;
}

/// Exports a type's steps: [`Describe`] always, the named ones beside it.
///
/// The names are `prompt`, `validate`, `deploy` and `self_test`; the type must implement the
/// trait of each. The component exports those interfaces and no others, so the host knows which
/// steps there are.
///
/// ```
/// use gantry_sdk::{Describe, Error, Job, Manifest, Validate, Verdict};
///
/// pub struct Readme;
///
/// impl Describe for Readme {
///     fn describe() -> Manifest {
///         Manifest::new("readme", "0.1.0", "Wants a README")
///     }
/// }
///
/// impl Validate for Readme {
///     fn validate(job: &Job) -> Result<Verdict, Error> {
///         Ok(match job.read_text("README.md", 64 << 10) {
///             Ok(text) if text.trim().is_empty() => Verdict::revise("README.md is empty: fill it"),
///             Ok(_) => Verdict::accept("README.md is there"),
///             Err(error) => Verdict::revise(error.to_string()),
///         })
///     }
/// }
///
/// gantry_sdk::export!(Readme: validate);
/// # fn main() {}
/// ```
///
/// A name that isn't a step doesn't compile:
///
/// ```compile_fail
/// # use gantry_sdk::{Describe, Manifest};
/// pub struct Readme;
/// # impl Describe for Readme {
/// #     fn describe() -> Manifest { Manifest::new("readme", "0.1.0", "Wants a README") }
/// # }
/// gantry_sdk::export!(Readme: publish);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! export {
    ($plugin:ident $(: $($step:ident),+ $(,)?)?) => {
        $crate::__export_step!(describe $plugin);
        $($($crate::__export_step!($step $plugin);)+)?
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export_step {
    (describe $plugin:ident) => {
        impl $crate::bindings::describe::exports::gantry::phase::describe::Guest for $plugin {
            fn describe() -> $crate::Manifest {
                <$plugin as $crate::Describe>::describe()
            }
        }
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::describe::export_interface!($plugin with_types_in $crate::bindings::describe);
    };
    (self_test $plugin:ident) => {
        impl $crate::bindings::self_test::exports::gantry::phase::self_test::Guest for $plugin {
            fn self_test() -> ::core::result::Result<(), ::std::string::String> {
                <$plugin as $crate::SelfTest>::self_test()
            }
        }
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::self_test::export_interface!($plugin with_types_in $crate::bindings::self_test);
    };
    (prompt $plugin:ident) => {
        $crate::__export_step!(@job $plugin prompt Prompt ::std::vec::Vec<$crate::Task>);
    };
    (validate $plugin:ident) => {
        $crate::__export_step!(@job $plugin validate Validate $crate::Verdict);
    };
    (deploy $plugin:ident) => {
        $crate::__export_step!(@job $plugin deploy Deploy $crate::Plan);
    };
    (@job $plugin:ident $step:ident $trait:ident $answer:ty) => {
        impl $crate::bindings::$step::exports::gantry::phase::$step::Guest for $plugin {
            fn $step() -> ::core::result::Result<$answer, $crate::Error> {
                <$plugin as $crate::$trait>::$step(&$crate::Job::__from_host())
            }
        }
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::$step::export_interface!($plugin with_types_in $crate::bindings::$step);
    };
    ($unknown:ident $plugin:ident) => {
        ::core::compile_error!(::core::concat!(
            "`",
            ::core::stringify!($unknown),
            "` isn't a step: the steps are prompt, validate, deploy and self_test"
        ));
    };
}
