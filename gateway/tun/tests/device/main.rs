// SPDX-License-Identifier: AGPL-3.0-or-later
//! The device against a real kernel: one list of tests, run over both backends.
//!
//! ```text
//!   us, as remote 10.9.0.2 ── TUN ── 10.9.0.1  a namespace  10.8.0.1 ── veth ── 10.8.0.2  another namespace
//!                 fd09::2            fd09::1                fd08::1             fd08::2
//! ```
//!
//! Every test has network namespaces of its own. They need CAP_NET_ADMIN and CAP_SYS_ADMIN, iproute2, and kernel support
//! for TUN and veth.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod cases;
mod ethtool;
mod namespace;
mod queues;
mod remote;
mod seccomp;
mod trouble;
mod writes;

/// Each case as two tests, over the offloading and over the plain backend.
macro_rules! on_both_backends {
    ($($file:ident { $($case:ident),+ $(,)? })+) => {
        mod offload {
            $($(#[test] fn $case() { crate::namespace::run(|| crate::$file::$case(true)) })+)+
        }
        mod plain {
            $($(#[test] fn $case() { crate::namespace::run(|| crate::$file::$case(false)) })+)+
        }
    };
}

on_both_backends! {
    cases {
        a_datagram_is_echoed_by_the_kernels_stack,
        tcp_super_packets_reach_a_socket_and_return,
        tcp_super_packets_over_ipv6,
        segments_survive_a_receiver_that_verifies,
        udp_super_packets_become_datagrams,
        more_datagrams_than_every_kernel_takes,
        a_deleted_interface_is_noticed,
        a_busy_name_is_refused_and_free_again_after,
        a_name_of_another_kind_is_refused,
        a_persistent_device_takes_either_backend,
        the_mtu_is_set,
        a_short_buffer_is_refused,
        many_packets_are_drained,
    }
    queues {
        a_flow_is_read_where_it_is_written,
        flows_of_this_host_spread_over_the_queues,
        a_device_made_for_one_queue_has_one,
        a_device_made_for_several_queues_takes_as_many_as_asked,
        a_device_with_another_reader_is_busy,
        numbers_out_of_range_are_refused,
        the_queue_length_is_set,
        a_persistent_device_gets_its_queue_length_back,
    }
    trouble {
        a_persistent_device_with_other_flags_is_taken,
        without_the_capability_it_says_so,
        an_interface_that_goes_down_is_counted_and_recovers,
        a_full_send_buffer_drops_counts_and_recovers,
        a_kernel_without_memory_is_counted_and_recovers,
        every_queue_notices_that_the_interface_was_deleted,
    }
    writes {
        every_row_of_the_table_of_writes,
        bytes_that_are_no_packet_are_refused,
        a_partial_checksum_without_its_flag_is_dropped,
        a_forwarded_mebibyte_has_no_wrong_checksum,
    }
}

/// Cases about the choice between the backends.
macro_rules! on_their_own {
    ($($case:ident),+ $(,)?) => {
        $(#[test] fn $case() { namespace::run(trouble::$case) })+
    };
}

on_their_own![
    a_kernel_without_udp_offload_gets_udp_in_datagrams,
    a_kernel_that_refuses_offload_gets_packets_one_by_one,
    a_kernel_without_features_gets_packets_one_by_one,
];
