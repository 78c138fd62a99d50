//! Clients against a scripted cluster. Each test is a story; the fixture plays network and brokers.

mod admin;
mod belief;
mod consumer;
mod fetching;
mod fixture;
mod group_commits;
mod group_fixture;
mod group_links;
mod group_modern;
mod group_rebalance;
mod least_loaded;
mod log;
mod producer;
mod producer_idempotence;
mod producer_packing;
mod validation;
mod view;
