// SPDX-License-Identifier: AGPL-3.0-or-later
//! The window and what is in it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use gtk4::prelude::*;
use gtk4::{
    Application, ApplicationWindow, Box, Button, Entry, Label, ListBox, ListBoxRow, Orientation, Paned,
    ScrolledWindow, SelectionMode, glib,
};
use irdest_tools::output::harmless;
use ratman_client::types::DateTime;
use tokio::sync::mpsc::Sender;

use super::backend::{Backend, Told};
use crate::{KeptPost, Post, Topic};

/// The most posts of a topic that are shown, the newest.
const MAX_SHOWN: usize = 500;

/// The most topics; more than anybody reads. Further ones are left out.
const MAX_TOPICS: usize = 1000;

/// The window and what it shows.
pub(super) struct Board {
    topics: ListBox,
    posts: ListBox,
    topic: Entry,
    nick: Entry,
    text: Entry,
    send: Button,
    state: Label,
    to_send: Sender<Post>,
    /// All posts, by topic, in the order in which rows of topics are.
    all: RefCell<BTreeMap<Topic, Vec<KeptPost>>>,
}

impl Board {
    /// Opens the window.
    pub(super) fn show(application: &Application, backend: Backend, nick: &str) {
        let Backend { posts: to_send, told } = backend;
        let board = Rc::new(Self {
            topics: ListBox::builder().selection_mode(SelectionMode::Single).build(),
            posts: ListBox::builder().selection_mode(SelectionMode::None).build(),
            topic: Entry::builder().placeholder_text("/category/namespace/topic").build(),
            nick: Entry::builder().placeholder_text("Nick").text(nick).max_width_chars(16).build(),
            text: Entry::builder().placeholder_text("What you have to say").hexpand(true).build(),
            send: Button::with_label("Post"),
            state: Label::builder().xalign(0.0).wrap(true).build(),
            to_send,
            all: RefCell::default(),
        });
        let window = ApplicationWindow::builder()
            .application(application)
            .title("Irdest mblog")
            .default_width(900)
            .default_height(600)
            .child(&board.lay_out())
            .build();
        board.listen(told);
        window.present();
    }

    fn lay_out(&self) -> Box {
        let scrolled = |list: &ListBox| ScrolledWindow::builder().child(list).vexpand(true).build();
        let panes = Paned::builder().orientation(Orientation::Horizontal).position(260).build();
        panes.set_start_child(Some(&scrolled(&self.topics)));
        panes.set_end_child(Some(&scrolled(&self.posts)));
        let row = Box::builder().orientation(Orientation::Horizontal).spacing(6).build();
        row.append(&self.topic);
        row.append(&self.nick);
        row.append(&self.text);
        row.append(&self.send);
        let all = Box::builder().orientation(Orientation::Vertical).spacing(6).build();
        let margin = 6;
        all.set_margin_top(margin);
        all.set_margin_bottom(margin);
        all.set_margin_start(margin);
        all.set_margin_end(margin);
        all.append(&panes);
        all.append(&row);
        all.append(&self.state);
        all
    }

    /// Does what the user and the router want.
    fn listen(self: &Rc<Self>, mut told: tokio::sync::mpsc::Receiver<Told>) {
        let board = Rc::clone(self);
        self.topics.connect_row_selected(move |_, row| board.choose(row));
        let board = Rc::clone(self);
        self.send.connect_clicked(move |_| board.send());
        let board = Rc::clone(self);
        self.text.connect_activate(move |_| board.send());
        let board = Rc::clone(self);
        glib::spawn_future_local(async move {
            while let Some(told) = told.recv().await {
                match told {
                    Told::Post(kept) => board.add(*kept),
                    Told::Sent => board.say("posted"),
                    Told::NotSent(why) => board.say(&format!("not posted: {why}")),
                    Told::Over(why) => board.say(&format!("nothing comes any more: {why}")),
                }
            }
        });
    }

    fn say(&self, text: &str) {
        self.state.set_text(text);
    }

    /// The topic whose row is chosen.
    fn chosen(&self) -> Option<Topic> {
        let index = usize::try_from(self.topics.selected_row()?.index()).ok()?;
        self.all.borrow().keys().nth(index).cloned()
    }

    /// Shows the posts of another topic, and writes under it.
    fn choose(&self, row: Option<&ListBoxRow>) {
        let Some(topic) = row.and_then(|_| self.chosen()) else { return };
        self.topic.set_text(topic.as_str());
        while let Some(row) = self.posts.row_at_index(0) {
            self.posts.remove(&row);
        }
        let all = self.all.borrow();
        let posts = all.get(&topic).map_or(&[][..], Vec::as_slice);
        for kept in &posts[posts.len().saturating_sub(MAX_SHOWN)..] {
            self.posts.append(&row_of(kept));
        }
    }

    /// One more post.
    fn add(&self, kept: KeptPost) {
        let topic = kept.post.topic().clone();
        let (place, is_new) = {
            let mut all = self.all.borrow_mut();
            let is_new = !all.contains_key(&topic);
            if is_new && all.len() >= MAX_TOPICS {
                return;
            }
            let posts = all.entry(topic.clone()).or_default();
            if posts.iter().rev().any(|known| known.key() == kept.key()) {
                return;
            }
            posts.push(kept.clone());
            if posts.len() > MAX_SHOWN {
                posts.remove(0);
            }
            (all.range(..&topic).count(), is_new)
        };
        if is_new {
            let label = Label::builder().label(topic.as_str()).xalign(0.0).build();
            self.topics.insert(&label, i32::try_from(place).unwrap_or(i32::MAX));
            if self.topics.selected_row().is_none() {
                self.topics.select_row(self.topics.row_at_index(0).as_ref());
                return;
            }
        }
        if self.chosen() == Some(topic) {
            self.posts.append(&row_of(&kept));
            let surplus = i32::try_from(MAX_SHOWN).ok().and_then(|most| self.posts.row_at_index(most));
            if let Some(oldest) = surplus.and_then(|_| self.posts.row_at_index(0)) {
                self.posts.remove(&oldest);
            }
        }
    }

    /// Sends what the user wrote.
    fn send(&self) {
        let Ok(topic) = self.topic.text().parse::<Topic>() else {
            return self.say(&crate::NoTopic.to_string());
        };
        let post = match Post::new(topic, &self.nick.text(), &self.text.text()) {
            Ok(post) => post,
            Err(error) => return self.say(&error.to_string()),
        };
        match self.to_send.try_send(post) {
            Ok(()) => {
                self.text.set_text("");
                self.say("on its way to the router …");
            }
            Err(_) => self.say("not posted: too many posts wait, or the router is lost"),
        }
    }
}

/// A post as a row: who and when, and the text, which can be marked and copied.
fn row_of(kept: &KeptPost) -> Box {
    let (address, time) = (kept.from.to_string(), DateTime::from(kept.when()).to_string());
    let nick = harmless(kept.post.nick());
    let head = format!("{nick} ({})  {} {} UTC", &address[..9], &time[..10], &time[11..16]);
    let text: Vec<String> = kept.post.text().split('\n').map(harmless).collect();
    let row = Box::builder().orientation(Orientation::Vertical).spacing(2).build();
    row.set_margin_top(6);
    row.set_margin_bottom(6);
    row.set_margin_start(6);
    let head = Label::builder().label(head.trim_start()).xalign(0.0).css_classes(["dim-label"]).build();
    row.append(&head);
    let text = Label::builder().label(text.join("\n")).xalign(0.0).wrap(true).selectable(true).build();
    row.append(&text);
    row
}
