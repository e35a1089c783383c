// SPDX-License-Identifier: AGPL-3.0-or-later
//! The message plane: what carries streams of any size to their recipients, now or later (source: manual, the anatomy of
//! a message; wire page, streams).

mod window;

pub use window::Window;
