// SPDX-License-Identifier: AGPL-3.0-or-later
//! carrier_v1.
