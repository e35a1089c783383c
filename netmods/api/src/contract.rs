// SPDX-License-Identifier: AGPL-3.0-or-later
//! The contract of a driver, as tests that any driver can be put through.
