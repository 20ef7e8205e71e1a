//! What a store is: every case below, over both databases. What only one of them can be asked,
//! as another host's open transaction, is at the end. It measures nothing.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a case ends where something is wrong, and says so where it can't run"
)]

#[path = "conformance/access.rs"]
mod access;
#[path = "conformance/breakers.rs"]
mod breakers;
#[path = "conformance/claims.rs"]
mod claims;
#[path = "conformance/commits.rs"]
mod commits;
#[path = "conformance/events.rs"]
mod events;
#[path = "conformance/lines.rs"]
mod lines;
#[path = "conformance/model.rs"]
mod model;
#[path = "conformance/money.rs"]
mod money;
#[path = "conformance/outputs.rs"]
mod outputs;
#[path = "conformance/people.rs"]
mod people;
#[path = "conformance/plugins.rs"]
mod plugins;
#[path = "conformance/postgres.rs"]
mod postgres_only;
#[path = "conformance/retention.rs"]
mod retention;
#[path = "conformance/setup.rs"]
mod setup;
#[path = "conformance/sites.rs"]
mod sites;
#[path = "conformance/standing.rs"]
mod standing;
#[path = "conformance/wakes.rs"]
mod wakes;

use setup::Bed;
use std::future::Future;

/// Runs a case, and takes its database away however it ends.
async fn run<F: Future<Output = ()> + Send + 'static>(bed: Option<Bed>, case: fn(Bed) -> F) {
    let Some(bed) = bed else { return };
    let ended = tokio::spawn(case(bed.clone())).await;
    bed.remove().await;
    if let Err(error) = ended {
        std::panic::resume_unwind(error.into_panic());
    }
}

macro_rules! both {
    ($($module:ident: $($case:ident)*;)*) => {
        mod sqlite {
            use super::*;
            $($(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                run(Some(Bed::sqlite()), $module::$case).await;
            })*)*
        }
        mod postgres {
            use super::*;
            $($(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                run(Bed::postgres().await, $module::$case).await;
            })*)*
        }
    };
}

both! {
    access:
        a_token_is_found_by_its_digest_until_it_is_revoked
        one_that_can_administer_stays
        two_admins_revoked_at_once_leave_one
        a_use_is_noted_once_a_minute
        what_a_later_version_wrote_gives_a_token_no_more
        sessions_end_by_the_databases_clock
        sessions_end_with_their_token
        lists_and_counts_are_of_groups_where_asked;
    breakers:
        an_outage_that_one_host_sees_holds_back_the_others
        of_many_that_ask_at_once_one_probes
        failures_noted_at_once_are_counted_together;
    claims:
        each_job_is_claimed_once
        by_priority_then_age
        a_job_with_a_workspace_goes_to_a_host_that_mounts_its_root
        a_waiting_job_is_due_by_the_databases_clock
        a_pause_is_as_long_by_the_databases_clock_as_by_the_hosts
        the_databases_own_clock_counts
        a_heartbeat_extends_what_is_held_and_names_what_is_lost
        an_expired_lease_is_taken_over_only_when_asked_for
        a_host_takes_its_own_back_at_once
        a_row_that_cant_be_read_stops_no_other
        a_reaper_sees_who_holds_what
        who_waits_long_enough_is_overtaken_by_nobody
        a_holder_is_told_what_the_job_waited_for
        an_agent_in_an_engine_goes_to_a_host_that_reaches_it
        who_is_idle_knows_for_how_long;
    commits:
        a_commit_is_state_events_and_blobs
        no_write_under_an_old_lease_changes_anything
        a_cancel_before_a_commit_refuses_it
        a_cancel_after_a_commit_is_seen_by_the_next
        a_cancel_and_the_last_commit_at_once_agree
        a_job_that_rests_is_let_go_of
        a_commit_that_fails_changes_nothing
        what_a_later_version_wrote_of_a_job_is_kept;
    events:
        the_events_of_a_job_have_no_gaps
        the_stream_gives_each_event_once_and_in_order
        lines_are_numbered_and_any_text_is_kept
        pages_hold_each_job_once_while_others_come
        filters
        an_event_that_cant_be_read_holds_up_no_other;
    lines:
        a_full_group_keeps_jobs_back_and_a_place_that_comes_free_lets_one_through
        a_groups_limit_is_exact_over_hosts_that_claim_and_finish_at_once
        a_pipelines_limit_holds_with_a_groups
        a_job_that_is_rescued_or_given_back_keeps_its_place
        a_job_that_pauses_gives_up_its_place
        a_place_of_a_job_that_is_cancelled_or_deleted_comes_free
        a_rate_lets_so_many_start_in_a_period
        a_pause_keeps_back_and_its_end_lets_through
        a_pause_of_everything_stops_no_rescue
        a_new_limit_counts_what_runs_and_keeps_back_what_is_ready
        groups_without_limits_of_their_own_have_those_of_the_star
        a_pipelines_file_says_its_limit
        unique_keeps_replaces_or_refuses
        unique_at_once_takes_in_one;
    model:
        random_sequences_do_what_the_model_says;
    money:
        what_is_spent_adds_up_by_run_phase_job_group_and_day
        every_budget_has_room_or_nothing_is_set_aside
        a_turn_that_is_told_twice_is_done_once
        each_day_has_its_own_money
        what_a_dead_holder_set_aside_is_booked_in_full
        what_nobody_holds_any_more_is_booked_in_full
        a_person_can_give_more_or_less
        many_at_once_never_set_aside_more_than_there_is;
    outputs:
        a_piece_is_told_once
        a_piece_under_an_old_lease_changes_nothing
        two_runs_dont_mix
        the_same_piece_twice_at_once_is_told_once;
    people:
        the_same_request_makes_one_job
        the_same_request_twice_at_once_makes_one_job
        retry_and_feedback
        cancel_of_what_rests_and_of_what_runs
        delete_takes_all_that_is_the_jobs
        hosts_are_alive_for_a_lease
        pipelines_are_replaced
        a_pipeline_of_a_later_version_stays
        counts_and_blobs_and_names;
    plugins:
        what_a_file_held_is_remembered_until_it_is_removed
        a_job_that_faults_alone_takes_nothing_away
        one_submitter_takes_nothing_from_others
        a_fresh_swap_that_faults_for_many_is_rolled_back_and_told
        the_only_one_is_quarantined_and_can_be_released
        faults_at_once_are_judged_together
        a_person_rolls_back_what_has_something_older
        recorded_calls_are_the_newest_of_each_plugin;
    retention:
        a_page_holds_what_has_ended_and_how_long_ago
        rows_go_in_small_steps_and_only_of_what_ended_long_ago
        the_last_event_of_a_job_stays_and_its_numbers_go_on
        events_of_no_job_go_by_age
        a_job_is_forgotten_with_all_that_is_its_and_not_with_a_live_site
        a_workspace_is_removed_of_ended_jobs_of_this_root_only
        a_job_without_its_workspace_begins_anew_or_not_at_all
        a_removal_and_a_retry_at_once_agree;
    sites:
        an_address_belongs_to_its_first_job
        two_jobs_that_wish_at_once_get_two_addresses
        a_revision_is_published_once_and_replaced_by_the_next
        an_address_is_freed_with_its_site;
    standing:
        what_comes_to_a_driver_that_stands_by_has_begun
        it_holds_and_writes_what_it_was_given
        it_is_given_as_many_as_it_has_room_for
        who_waits_already_comes_first
        a_pause_and_a_time_keep_back_from_it
        a_group_is_counted_before_it_is_given
        a_request_that_comes_twice_is_given_once;
    wakes:
        others_are_woken
        what_is_not_kept_is_heard_by_who_watches;
}

macro_rules! only_postgres {
    ($($case:ident)*) => {
        mod postgres_alone {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                run(Bed::postgres().await, postgres_only::$case).await;
            })*
        }
    };
}

only_postgres! {
    what_commits_late_is_not_skipped
    a_cancel_under_way_is_waited_for
    a_cancel_taken_back_leaves_the_commit
    hosts_that_start_at_once_migrate_once
    a_migration_under_load_holds_nobody_up
    a_killed_listener_is_deaf_and_comes_back
    a_listener_that_hears_nothing_is_deaf_though_its_connection_stands
    a_host_that_stands_still_in_a_claim_holds_nobody_up
    a_database_that_is_gone_is_away_and_comes_back
    a_database_that_isnt_there_is_named_without_its_password
    a_restored_stream_goes_on
    one_host_clears_up_at_a_time
}

#[tokio::test]
async fn a_folder_that_isnt_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("missing/gantry.db");
    let error = store::Sqlite::open(&path, store::Options::default())
        .await
        .unwrap_err();
    assert_eq!(error.code(), "store-refused");
    let said = error.to_string();
    assert!(said.contains("missing/gantry.db"), "{said}");
    assert!(said.contains("make it first"), "{said}");
}
