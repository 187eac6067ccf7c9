//! Clusters.

use serde_json::json;

use super::Account;

/// ecs-semantics §1.1, §11.3: created, described, listed, deleted; what is missing is a failure and no error.
#[test]
fn a_clusters_life() {
    let account = Account::new();
    let created = account.granted(
        "CreateCluster",
        json!({"clusterName": "shop", "tags": [{"key": "team", "value": "a"}],
               "settings": [{"name": "containerInsights", "value": "enabled"}],
               "configuration": {"executeCommandConfiguration": {"logging": "DEFAULT"}}}),
    );
    let arn = "arn:aws:ecs:us-east-1:123456789012:cluster/shop";
    let cluster = &created["cluster"];
    assert_eq!((&cluster["clusterArn"], &cluster["status"]), (&json!(arn), &json!("ACTIVE")));
    assert_eq!(cluster["tags"], json!([{"key": "team", "value": "a"}]));
    assert_eq!(cluster["configuration"], json!({"executeCommandConfiguration": {"logging": "DEFAULT"}}));

    let described = account.granted("DescribeClusters", json!({"clusters": [arn, "other"]}));
    assert_eq!(described["clusters"][0]["clusterName"], "shop");
    assert_eq!(described["clusters"][0]["tags"], json!([]), "tags are shown when they are asked for");
    let missing = json!([{"arn": "arn:aws:ecs:us-east-1:123456789012:cluster/other", "reason": "MISSING"}]);
    assert_eq!(described["failures"], missing);
    let with =
        account.granted("DescribeClusters", json!({"clusters": ["shop"], "include": ["STATISTICS", "SETTINGS"]}));
    assert_eq!(with["clusters"][0]["settings"], json!([{"name": "containerInsights", "value": "enabled"}]));
    assert_eq!(with["clusters"][0]["statistics"][0], json!({"name": "runningEC2TasksCount", "value": "0"}));

    account.granted("CreateCluster", json!({}));
    let listed = account.granted("ListClusters", json!({"maxResults": 1}));
    let rest = account.granted("ListClusters", json!({"maxResults": 1, "nextToken": listed["nextToken"]}));
    assert_eq!((&rest["clusterArns"], rest.get("nextToken")), (&json!([arn]), None));

    assert_eq!(account.granted("DeleteCluster", json!({"cluster": arn}))["cluster"]["status"], "INACTIVE");
    assert_eq!(account.refused("DeleteCluster", json!({"cluster": "shop"})).0, "ClusterNotFoundException");
    assert_eq!(account.granted("DescribeClusters", json!({"clusters": ["shop"]}))["clusters"][0]["status"], "INACTIVE");
}
