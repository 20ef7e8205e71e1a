//! What a runner is, as tests: each case runs over both runners. What only an isolating one
//! can keep is in `conformance/isolation.rs`; nothing here looks into a runner's insides.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test: what goes wrong in it shall stop it"
)]

#[path = "conformance/stage.rs"]
mod stage;

#[path = "conformance/ends.rs"]
mod ends;
#[path = "conformance/isolation.rs"]
mod isolation;
#[path = "conformance/limits.rs"]
mod limits;
#[path = "conformance/names.rs"]
mod names;
#[path = "conformance/orphan.rs"]
mod orphan;
#[path = "conformance/returns.rs"]
mod returns;

/// A test for each runner from one async function over a [`stage::Stage`].
macro_rules! over_all {
    ($($case:path => $name:ident),+ $(,)?) => {
        mod process {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                $case(crate::stage::Stage::process()).await;
            })+
        }
        over_engines! { docker, podman: $($case => $name),+ }
    };
}

/// The same in one engine's containers and in another's.
macro_rules! over_engines {
    ($docker:ident, $podman:ident: $($case:path => $name:ident),+ $(,)?) => {
        mod $docker {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                if let Some(stage) = crate::stage::Stage::docker().await {
                    $case(stage).await;
                }
            })+
        }
        mod $podman {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                if let Some(stage) = crate::stage::Stage::podman().await {
                    $case(stage).await;
                }
            })+
        }
    };
}

over_all! {
    crate::ends::an_exit_status_is_kept => an_exit_status_is_kept,
    crate::ends::the_environment_is_the_specs_alone => the_environment_is_the_specs_alone,
    crate::ends::what_it_says_is_kept_for_people => what_it_says_is_kept_for_people,
    crate::ends::a_stop_lets_it_tidy_up => a_stop_lets_it_tidy_up,
    crate::ends::a_stop_ends_what_ignores_it => a_stop_ends_what_ignores_it,
    crate::ends::wait_can_be_dropped_and_called_again => wait_can_be_dropped_and_called_again,
    crate::ends::what_it_left_running_ends_with_it => what_it_left_running_ends_with_it,
    crate::ends::check_names_a_missing_command_or_image => check_names_a_missing_command_or_image,
    crate::ends::a_command_that_is_missing_can_be_mended => a_command_that_is_missing_can_be_mended,
    crate::limits::time_kept => time_kept,
    crate::limits::time_broken => time_broken,
    crate::limits::file_size_kept_and_broken => file_size_kept_and_broken,
    crate::limits::a_flood_of_output_is_dropped => a_flood_of_output_is_dropped,
    crate::names::an_orphan_is_listed_and_removed => an_orphan_is_listed_and_removed,
    crate::names::another_installations_is_not_listed => another_installations_is_not_listed,
    crate::names::two_starts_at_once_are_one => two_starts_at_once_are_one,
    crate::names::a_name_is_never_started_again => a_name_is_never_started_again,
    crate::names::a_name_that_never_ran_is_removed_without_complaint => a_name_that_never_ran_is_removed_without_complaint,
    crate::returns::a_killed_host_finds_its_run_going_on => a_killed_host_finds_its_run_going_on,
    crate::returns::a_killed_host_finds_its_run_ended => a_killed_host_finds_its_run_ended,
    crate::returns::an_adopted_run_keeps_its_deadline => an_adopted_run_keeps_its_deadline,
}

over_engines! {
    docker_isolates, podman_isolates:
    crate::isolation::the_only_interface_is_loopback => the_only_interface_is_loopback,
    crate::isolation::it_has_no_capability_and_can_gain_none => it_has_no_capability_and_can_gain_none,
    crate::isolation::it_is_not_root => it_is_not_root,
    crate::isolation::only_its_own_folders_are_writable => only_its_own_folders_are_writable,
    crate::isolation::the_prompt_is_not_writable => the_prompt_is_not_writable,
    crate::isolation::vsock_and_io_uring_are_refused => vsock_and_io_uring_are_refused,
    crate::isolation::what_lies_in_memory_is_bounded => what_lies_in_memory_is_bounded,
    crate::isolation::the_engine_at_hand_says_what_it_cannot_enforce => the_engine_at_hand_says_what_it_cannot_enforce,
    crate::isolation::processes_kept_and_broken => processes_kept_and_broken,
    crate::isolation::a_container_that_is_removed_meanwhile_has_ended_badly => a_container_that_is_removed_meanwhile_has_ended_badly,
    crate::isolation::a_folder_that_the_engine_does_not_see_is_named => a_folder_that_the_engine_does_not_see_is_named,
}
