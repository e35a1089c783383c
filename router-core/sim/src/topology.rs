// SPDX-License-Identifier: AGPL-3.0-or-later
//! Shapes of networks, as lists of pairs of node numbers.

use std::collections::BTreeSet;

use crate::Random;

/// Each node with the next.
pub fn line(nodes: usize) -> Vec<(usize, usize)> {
    (1..nodes).map(|node| (node - 1, node)).collect()
}

/// A random connected graph in which every node has four neighbours: two rings through all nodes, each in a random
/// order, that share no edge. About one attempt in seven succeeds, whatever the size.
///
/// # Panics
/// Below five nodes there is no such graph.
pub fn random_of_degree_four(nodes: usize, random: &mut Random) -> Vec<(usize, usize)> {
    assert!(nodes >= 5, "{nodes} nodes cannot have four neighbours each");
    let mut order: Vec<usize> = (0..nodes).collect();
    loop {
        let mut edges = BTreeSet::new();
        for _ in 0..2 {
            random.shuffle(&mut order);
            edges.extend((0..nodes).map(|index| {
                let (a, b) = (order[index], order[(index + 1) % nodes]);
                (a.min(b), a.max(b))
            }));
        }
        if edges.len() == 2 * nodes {
            return edges.into_iter().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_has_four_neighbours_and_all_are_connected() {
        for (seed, nodes) in [(1, 5), (2, 6), (3, 60), (4, 500)] {
            let edges = random_of_degree_four(nodes, &mut Random::new(seed));
            for node in 0..nodes {
                let degree = edges.iter().filter(|(a, b)| *a == node || *b == node).count();
                assert_eq!(degree, 4, "node {node} of {nodes}");
            }
            let mut reached = BTreeSet::from([0]);
            for _ in 0..nodes {
                for (a, b) in &edges {
                    if reached.contains(a) || reached.contains(b) {
                        reached.extend([*a, *b]);
                    }
                }
            }
            assert_eq!(reached.len(), nodes);
        }
    }

    #[test]
    fn a_line_has_two_ends() {
        assert_eq!(line(4), [(0, 1), (1, 2), (2, 3)]);
    }
}
