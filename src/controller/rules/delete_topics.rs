//! DeleteTopics: by name or by id. Sources: `ControllerApis.deleteTopics`, `ReplicationControlManager.deleteTopics`.
//!
//! A topic is gone with one record; brokers delete their replicas when they replay it. Its configs go with it.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName};
use uuid::Uuid;

use super::create_topics::{ApiError, refuse};
use super::{Cluster, Decision};
use crate::metadata::{METADATA_TOPIC, MetadataRecord};
use crate::protocol::topic_name;

/// A topic as the request names it: up to version 5 by name, since then by name or by id.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    name: Option<TopicName>,
    topic_id: Uuid,
}

impl Cluster<'_> {
    /// Each topic succeeds or fails on its own; those that succeed are one atomic batch.
    pub fn delete_topics(&self, request: &DeleteTopicsRequest) -> (Decision, DeleteTopicsResponse) {
        let by_name = request.topic_names.iter().map(|name| Named { name: Some(name.clone()), topic_id: Uuid::nil() });
        let by_either = request.topics.iter().map(|t| Named { name: t.name.clone(), topic_id: t.topic_id });
        let asked: Vec<Named> = by_name.chain(by_either).collect();
        let mut records = Vec::new();
        let mut responses: Vec<DeletableTopicResult> = Vec::new();
        for (nth, named) in asked.iter().enumerate() {
            if asked[..nth].contains(named) {
                continue;
            }
            let twice = asked[nth + 1..].contains(named);
            let result = if twice { duplicate(named) } else { self.find_topic_to_delete(&asked, named) };
            let response = DeletableTopicResult::default().with_name(named.name.clone()).with_topic_id(named.topic_id);
            responses.push(match result {
                Ok((name, topic_id)) => {
                    records.push(MetadataRecord::RemoveTopic { topic_id });
                    response.with_name(Some(name)).with_topic_id(topic_id)
                }
                Err(ApiError { error, message }) => {
                    response.with_error_code(error.code()).with_error_message(Some(message.into()))
                }
            });
        }
        (Decision::of(records), DeleteTopicsResponse::default().with_responses(responses))
    }

    fn find_topic_to_delete(&self, asked: &[Named], named: &Named) -> Result<(TopicName, Uuid), ApiError> {
        let topic = match (&named.name, named.topic_id) {
            (None, id) if id.is_nil() => {
                return refuse(ResponseError::InvalidRequest, "Neither topic name nor id were specified.");
            }
            (Some(_), id) if !id.is_nil() => {
                return refuse(ResponseError::InvalidRequest, "You may not specify both topic name and topic id.");
            }
            (Some(name), _) if name.as_str() == METADATA_TOPIC => {
                return refuse(ResponseError::TopicAuthorizationFailed, "Topic is internal to the controller.");
            }
            (Some(name), _) => match self.image.topic(name.as_str()) {
                Some(topic) => topic,
                None => {
                    return refuse(
                        ResponseError::UnknownTopicOrPartition,
                        "This server does not host this topic-partition.",
                    );
                }
            },
            (None, id) => match self.image.topics.get(&id) {
                Some(topic) => topic,
                None => return refuse(ResponseError::UnknownTopicId, "This server does not host this topic ID."),
            },
        };
        let same_by_id = Named { name: None, topic_id: topic.topic_id };
        if named.name.is_some() && asked.contains(&same_by_id) {
            return refuse(
                ResponseError::InvalidRequest,
                "The provided topic name maps to an ID that was already supplied.",
            );
        }
        Ok((topic_name(&topic.name), topic.topic_id))
    }
}

fn duplicate(named: &Named) -> Result<(TopicName, Uuid), ApiError> {
    let what = if named.name.is_some() { "name" } else { "id" };
    refuse(ResponseError::InvalidRequest, format!("Duplicate topic {what}."))
}
