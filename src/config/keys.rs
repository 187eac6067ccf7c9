//! Every key of the cluster file: what the reader knows, what its suggestions choose from, what the reference must list.

/// The keys of one table.
#[derive(Clone, Copy, Debug)]
pub struct TableKeys {
    /// The table, as in `service.auto_scaling`; empty for the top of the file.
    pub table: &'static str,
    /// The keys that are read.
    pub keys: &'static [&'static str],
    /// Keys of ECS that are recognised and refused as not available yet.
    pub planned: &'static [&'static str],
}

/// All tables with fixed keys, in the order of the reference.
pub const TABLES: &[&TableKeys] = &[
    &ROOT,
    &CLUSTER,
    &CLUSTER_SETTING,
    &SETTINGS,
    &IMAGES,
    &MAPPED_IMAGE,
    &STRATEGY_ITEM,
    &CAPACITY_PROVIDER,
    &AUTO_SCALING_GROUP,
    &WARM_POOL,
    &INSTANCE_REUSE_POLICY,
    &LIFECYCLE_HOOK,
    &INSTANCE_MAINTENANCE_POLICY,
    &MANAGED_SCALING,
    &CONTAINER_INSTANCE,
    &SUBNET,
    &TASK_DEFINITION,
    &RUNTIME_PLATFORM,
    &EPHEMERAL_STORAGE,
    &TASK_SIMULATION,
    &CRASH,
    &DISTRIBUTION,
    &EXPONENTIAL,
    &LOG_NORMAL,
    &VOLUME,
    &VOLUME_HOST,
    &CONTAINER,
    &RESOURCE_REQUIREMENT,
    &HEALTH_CHECK,
    &CONTAINER_DEPENDENCY,
    &RESTART_POLICY,
    &SECRET,
    &ENVIRONMENT_FILE,
    &MOUNT_POINT,
    &PORT_MAPPING,
    &NAME_VALUE,
    &KEY_VALUE,
    &TARGET_GROUP,
    &TARGET_HEALTH_CHECK,
    &SERVICE,
    &LOAD_BALANCER,
    &ADVANCED_CONFIGURATION,
    &DEPLOYMENT_CONFIGURATION,
    &DEPLOYMENT_CIRCUIT_BREAKER,
    &BREAKER_THRESHOLD,
    &DEPLOYMENT_ALARMS,
    &EARLY_SUCCESS,
    &PLACEMENT_STRATEGY,
    &PLACEMENT_CONSTRAINT,
    &AUTO_SCALING,
    &SUSPENDED_STATE,
    &TARGET_TRACKING,
    &CUSTOMIZED_METRIC,
    &METRIC_QUERY,
    &METRIC_STAT,
    &QUERIED_METRIC,
    &TASK_SET,
    &NETWORK_CONFIGURATION,
    &AWSVPC_CONFIGURATION,
    &MONITORING,
    &METRIC_CONFIGURATION,
    &STEP_SCALING,
    &STEP_ADJUSTMENT,
    &PREDICTIVE_SCALING,
    &SCHEDULED_ACTION,
    &ALARM,
    &METRIC,
    &METRIC_STEP,
    &RUN_TASK,
    &START_TASK,
    &OVERRIDES,
    &CONTAINER_OVERRIDE,
    &LINEAR,
    &CANARY,
    &DEPLOYMENT_HOOK,
    &HOOK_TIMEOUT,
    &LOAD,
    &LOAD_STEP,
    &LOAD_SINE,
    &LOAD_SPIKE,
    &FAULT,
    &SIMULATION,
    &MESSAGES,
    &ACTIONS,
    &INSTANCE_REFRESH,
    &REFRESH_PREFERENCES,
    &UPDATE_SERVICE,
];

pub(super) const ROOT: TableKeys = TableKeys {
    table: "",
    keys: &[
        "cluster",
        "settings",
        "images",
        "capacity_provider",
        "container_instance",
        "subnet",
        "task_definition",
        "target_group",
        "service",
        "alarm",
        "metric",
        "run_task",
        "start_task",
        "load",
        "fault",
        "instance_refresh",
        "simulation",
        "update_service",
    ],
    planned: &[],
};

pub(super) const CLUSTER: TableKeys = TableKeys {
    table: "cluster",
    keys: &["name", "region", "default_capacity_provider_strategy", "settings"],
    planned: &["capacity_providers", "configuration", "service_connect_defaults", "tags"],
};

pub(super) const CLUSTER_SETTING: TableKeys =
    TableKeys { table: "cluster.settings", keys: &["name", "value"], planned: &[] };

/// Beside these, its keys are names of images.
pub(super) const IMAGES: TableKeys = TableKeys { table: "images", keys: &["from", "default"], planned: &[] };

pub(super) const MAPPED_IMAGE: TableKeys =
    TableKeys { table: "images.NAME", keys: &["module", "entry_point", "command"], planned: &[] };

pub(super) const SETTINGS: TableKeys = TableKeys {
    table: "settings",
    keys: &[
        "seed",
        "cpu_basis",
        "fuel_per_vcpu_second",
        "cpu_period",
        "metric_period",
        "calendar_start",
        "usage_period",
        "healthy_after",
        "restart_delay_first",
        "restart_delay_max",
        "service_launches_per_minute",
        "bake_time",
        "deployment_timeout",
        "deployment_stage_timeout",
        "task_protection",
        "stop_timeout",
        "boot_time",
        "managed_draining_timeout",
        "spot_interruption_notice",
        "fargate_task_retirement_wait_period",
        "provisioning_timeout",
        "stopped_task_retention",
        "stopped_task_limit",
        "run_for",
        "short_periods",
    ],
    planned: &[],
};

pub(super) const STRATEGY_ITEM: TableKeys =
    TableKeys { table: "capacity_provider_strategy", keys: &["capacity_provider", "weight", "base"], planned: &[] };

pub(super) const CAPACITY_PROVIDER: TableKeys = TableKeys {
    table: "capacity_provider",
    keys: &["name", "auto_scaling_group", "managed_scaling", "managed_termination_protection", "managed_draining"],
    planned: &["managed_instances_provider", "tags"],
};

pub(super) const AUTO_SCALING_GROUP: TableKeys = TableKeys {
    table: "capacity_provider.auto_scaling_group",
    keys: &[
        "instance_type",
        "min_size",
        "max_size",
        "desired_capacity",
        "availability_zones",
        "boot_time",
        "attributes",
        "launch_template_version",
        "purchase_option",
        "ecs_enable_spot_instance_draining",
        "ecs_reserved_memory",
        "credit_specification",
        "termination_policies",
        "new_instances_protected_from_scale_in",
        "max_instance_lifetime",
        "health_check_grace_period",
        "default_instance_warmup",
        "lifecycle_hooks",
        "instance_maintenance_policy",
        "warm_pool",
        "warm_start_time",
        "image_id",
        "vpc_id",
        "subnets",
    ],
    planned: &["mixed_instances_policy"],
};

pub(super) const WARM_POOL: TableKeys = TableKeys {
    table: "capacity_provider.auto_scaling_group.warm_pool",
    keys: &["min_size", "max_group_prepared_capacity", "pool_state", "instance_reuse_policy"],
    planned: &[],
};

pub(super) const INSTANCE_REUSE_POLICY: TableKeys = TableKeys {
    table: "capacity_provider.auto_scaling_group.warm_pool.instance_reuse_policy",
    keys: &["reuse_on_scale_in"],
    planned: &[],
};

pub(super) const LIFECYCLE_HOOK: TableKeys = TableKeys {
    table: "capacity_provider.auto_scaling_group.lifecycle_hooks",
    keys: &["name", "lifecycle_transition", "heartbeat_timeout", "default_result"],
    planned: &["notification_metadata", "notification_target_arn", "role_arn"],
};

pub(super) const INSTANCE_MAINTENANCE_POLICY: TableKeys = TableKeys {
    table: "capacity_provider.auto_scaling_group.instance_maintenance_policy",
    keys: &["min_healthy_percentage", "max_healthy_percentage"],
    planned: &[],
};

pub(super) const SIMULATION: TableKeys =
    TableKeys { table: "simulation", keys: &["messages", "actions"], planned: &[] };

pub(super) const MESSAGES: TableKeys = TableKeys {
    table: "simulation.messages",
    keys: &["lost", "late", "repeated", "delay", "resent_after"],
    planned: &[],
};

pub(super) const ACTIONS: TableKeys = TableKeys { table: "simulation.actions", keys: MESSAGES.keys, planned: &[] };

pub(super) const FAULT: TableKeys = TableKeys {
    table: "fault",
    keys: &[
        "at",
        "mean_time_between",
        "kind",
        "capacity_provider",
        "service",
        "task_definition",
        "count",
        "duration",
        "boot_time",
        "availability_zone",
        "exit_code",
    ],
    planned: &[],
};

pub(super) const INSTANCE_REFRESH: TableKeys = TableKeys {
    table: "instance_refresh",
    keys: &["at", "capacity_provider", "launch_template_version", "image_id", "instance_type", "preferences"],
    planned: &[],
};

pub(super) const REFRESH_PREFERENCES: TableKeys = TableKeys {
    table: "instance_refresh.preferences",
    keys: &[
        "min_healthy_percentage",
        "max_healthy_percentage",
        "instance_warmup",
        "checkpoint_percentages",
        "checkpoint_delay",
        "skip_matching",
        "auto_rollback",
        "scale_in_protected_instances",
        "standby_instances",
        "bake_time",
    ],
    planned: &["alarm_specification"],
};

pub(super) const MANAGED_SCALING: TableKeys = TableKeys {
    table: "capacity_provider.managed_scaling",
    keys: &[
        "status",
        "target_capacity",
        "minimum_scaling_step_size",
        "maximum_scaling_step_size",
        "instance_warmup_period",
    ],
    planned: &[],
};

pub(super) const CONTAINER_INSTANCE: TableKeys = TableKeys {
    table: "container_instance",
    keys: &[
        "name",
        "instance_type",
        "availability_zone",
        "count",
        "boot_time",
        "attributes",
        "purchase_option",
        "ecs_reserved_memory",
        "credit_specification",
        "image_id",
        "vpc_id",
        "subnet_id",
    ],
    planned: &["tags"],
};

pub(super) const SUBNET: TableKeys = TableKeys { table: "subnet", keys: &["id", "availability_zone"], planned: &[] };

pub(super) const TASK_DEFINITION: TableKeys = TableKeys {
    table: "task_definition",
    keys: &[
        "family",
        "cpu",
        "memory",
        "network_mode",
        "requires_compatibilities",
        "runtime_platform",
        "ephemeral_storage",
        "tags",
        "volumes",
        "placement_constraints",
        "container",
        "simulation",
    ],
    planned: &[
        "enable_fault_injection",
        "execution_role_arn",
        "inference_accelerators",
        "ipc_mode",
        "pid_mode",
        "proxy_configuration",
        "task_role_arn",
    ],
};

pub(super) const RUNTIME_PLATFORM: TableKeys = TableKeys {
    table: "task_definition.runtime_platform",
    keys: &["cpu_architecture"],
    planned: &["operating_system_family"],
};

pub(super) const EPHEMERAL_STORAGE: TableKeys =
    TableKeys { table: "task_definition.ephemeral_storage", keys: &["size_in_gib"], planned: &[] };

pub(super) const VOLUME: TableKeys = TableKeys {
    table: "task_definition.volumes",
    keys: &["name", "host"],
    planned: &[
        "configured_at_launch",
        "docker_volume_configuration",
        "efs_volume_configuration",
        "fsx_windows_file_server_volume_configuration",
        "s3files_volume_configuration",
    ],
};

pub(super) const VOLUME_HOST: TableKeys =
    TableKeys { table: "task_definition.volumes.host", keys: &["source_path"], planned: &[] };

pub(super) const CONTAINER: TableKeys = TableKeys {
    table: "task_definition.container",
    keys: &[
        "name",
        "image",
        "essential",
        "entry_point",
        "command",
        "environment",
        "cpu",
        "memory",
        "memory_reservation",
        "mount_points",
        "port_mappings",
        "stop_timeout",
        "health_check",
        "depends_on",
        "start_timeout",
        "restart_policy",
        "secrets",
        "environment_files",
        "resource_requirements",
        "version_consistency",
    ],
    planned: &[
        "docker_labels",
        "extra_hosts",
        "firelens_configuration",
        "hostname",
        "linux_parameters",
        "log_configuration",
        "readonly_root_filesystem",
        "system_controls",
        "ulimits",
        "user",
        "volumes_from",
        "working_directory",
    ],
};

pub(super) const RESOURCE_REQUIREMENT: TableKeys =
    TableKeys { table: "task_definition.container.resource_requirements", keys: &["type", "value"], planned: &[] };

pub(super) const HEALTH_CHECK: TableKeys = TableKeys {
    table: "task_definition.container.health_check",
    keys: &["command", "interval", "timeout", "retries", "start_period"],
    planned: &[],
};

pub(super) const CONTAINER_DEPENDENCY: TableKeys =
    TableKeys { table: "task_definition.container.depends_on", keys: &["container_name", "condition"], planned: &[] };

pub(super) const RESTART_POLICY: TableKeys = TableKeys {
    table: "task_definition.container.restart_policy",
    keys: &["enabled", "ignored_exit_codes", "restart_attempt_period"],
    planned: &[],
};

pub(super) const SECRET: TableKeys =
    TableKeys { table: "task_definition.container.secrets", keys: &["name", "value_from"], planned: &[] };

pub(super) const ENVIRONMENT_FILE: TableKeys =
    TableKeys { table: "environment_files", keys: &["value"], planned: &["type"] };

pub(super) const MOUNT_POINT: TableKeys = TableKeys {
    table: "task_definition.container.mount_points",
    keys: &["source_volume", "container_path", "read_only"],
    planned: &[],
};

pub(super) const PORT_MAPPING: TableKeys = TableKeys {
    table: "task_definition.container.port_mappings",
    keys: &["container_port", "host_port", "protocol"],
    planned: &["app_protocol", "container_port_range", "name"],
};

pub(super) const NAME_VALUE: TableKeys = TableKeys { table: "environment", keys: &["name", "value"], planned: &[] };

pub(super) const KEY_VALUE: TableKeys = TableKeys { table: "tags", keys: &["key", "value"], planned: &[] };

pub(super) const SERVICE: TableKeys = TableKeys {
    table: "service",
    keys: &[
        "name",
        "task_definition",
        "desired_count",
        "launch_type",
        "capacity_provider_strategy",
        "scheduling_strategy",
        "deployment_configuration",
        "health_check_grace_period_seconds",
        "placement_strategy",
        "placement_constraints",
        "availability_zone_rebalancing",
        "auto_scaling",
        "tags",
        "propagate_tags",
        "monitoring",
        "deployment_controller",
        "task_set",
        "load_balancers",
        "network_configuration",
    ],
    planned: &[
        "enable_ecs_managed_tags",
        "enable_execute_command",
        "platform_version",
        "service_connect_configuration",
        "service_registries",
        "volume_configurations",
        "vpc_lattice_configurations",
    ],
};

pub(super) const TARGET_GROUP: TableKeys =
    TableKeys { table: "target_group", keys: &["name", "deregistration_delay", "health_check"], planned: &[] };

pub(super) const TARGET_HEALTH_CHECK: TableKeys = TableKeys {
    table: "target_group.health_check",
    keys: &["interval", "timeout", "healthy_threshold", "unhealthy_threshold"],
    planned: &[],
};

pub(super) const LOAD_BALANCER: TableKeys = TableKeys {
    table: "service.load_balancers",
    keys: &["target_group", "container_name", "container_port", "advanced_configuration"],
    planned: &["load_balancer_name", "target_group_arn"],
};

pub(super) const ADVANCED_CONFIGURATION: TableKeys = TableKeys {
    table: "service.load_balancers.advanced_configuration",
    keys: &["alternate_target_group"],
    planned: &["alternate_target_group_arn", "production_listener_rule", "role_arn", "test_listener_rule"],
};

pub(super) const TASK_SET: TableKeys = TableKeys {
    table: "service.task_set",
    keys: &["external_id", "task_definition", "scale", "primary", "launch_type", "capacity_provider_strategy", "tags"],
    planned: &["network_configuration", "load_balancers", "service_registries", "platform_version", "client_token"],
};

pub(super) const NETWORK_CONFIGURATION: TableKeys =
    TableKeys { table: "network_configuration", keys: &["awsvpc_configuration"], planned: &[] };

pub(super) const AWSVPC_CONFIGURATION: TableKeys = TableKeys {
    table: "network_configuration.awsvpc_configuration",
    keys: &["subnets"],
    planned: &["assign_public_ip", "security_groups"],
};

pub(super) const MONITORING: TableKeys =
    TableKeys { table: "service.monitoring", keys: &["metric_configurations"], planned: &[] };

pub(super) const METRIC_CONFIGURATION: TableKeys = TableKeys {
    table: "service.monitoring.metric_configurations",
    keys: &["metric_names", "resolution_seconds"],
    planned: &[],
};

pub(super) const DEPLOYMENT_CONFIGURATION: TableKeys = TableKeys {
    table: "service.deployment_configuration",
    keys: &[
        "minimum_healthy_percent",
        "maximum_percent",
        "strategy",
        "deployment_circuit_breaker",
        "alarms",
        "bake_time_in_minutes",
        "early_success_criteria",
        "linear_configuration",
        "canary_configuration",
        "lifecycle_hooks",
    ],
    planned: &[],
};

pub(super) const LINEAR: TableKeys = TableKeys {
    table: "service.deployment_configuration.linear_configuration",
    keys: &["step_percent", "step_bake_time_in_minutes"],
    planned: &[],
};

pub(super) const CANARY: TableKeys = TableKeys {
    table: "service.deployment_configuration.canary_configuration",
    keys: &["canary_percent", "canary_bake_time_in_minutes"],
    planned: &[],
};

pub(super) const DEPLOYMENT_HOOK: TableKeys = TableKeys {
    table: "service.deployment_configuration.lifecycle_hooks",
    keys: &["target_type", "task_definition", "lifecycle_stages", "hook_details", "timeout_configuration"],
    planned: &["hook_target_arn", "role_arn"],
};

pub(super) const HOOK_TIMEOUT: TableKeys = TableKeys {
    table: "service.deployment_configuration.lifecycle_hooks.timeout_configuration",
    keys: &["timeout_in_minutes", "action"],
    planned: &[],
};

pub(super) const DEPLOYMENT_CIRCUIT_BREAKER: TableKeys = TableKeys {
    table: "service.deployment_configuration.deployment_circuit_breaker",
    keys: &["enable", "rollback", "reset_on_healthy_task", "threshold_configuration"],
    planned: &[],
};

pub(super) const BREAKER_THRESHOLD: TableKeys = TableKeys {
    table: "service.deployment_configuration.deployment_circuit_breaker.threshold_configuration",
    keys: &["type", "value"],
    planned: &[],
};

pub(super) const DEPLOYMENT_ALARMS: TableKeys = TableKeys {
    table: "service.deployment_configuration.alarms",
    keys: &["alarm_names", "enable", "rollback"],
    planned: &[],
};

pub(super) const EARLY_SUCCESS: TableKeys = TableKeys {
    table: "service.deployment_configuration.early_success_criteria",
    keys: &["enable", "healthy_percent", "source_service_revision_cleanup"],
    planned: &[],
};

pub(super) const PLACEMENT_STRATEGY: TableKeys =
    TableKeys { table: "placement_strategy", keys: &["type", "field"], planned: &[] };

pub(super) const PLACEMENT_CONSTRAINT: TableKeys =
    TableKeys { table: "placement_constraints", keys: &["type", "expression"], planned: &[] };

pub(super) const AUTO_SCALING: TableKeys = TableKeys {
    table: "service.auto_scaling",
    keys: &[
        "min_capacity",
        "max_capacity",
        "suspended_state",
        "target_tracking",
        "step_scaling",
        "predictive_scaling",
        "scheduled_actions",
    ],
    planned: &[],
};

pub(super) const PREDICTIVE_SCALING: TableKeys = TableKeys {
    table: "service.auto_scaling.predictive_scaling",
    keys: &[
        "policy_name",
        "metric_pair",
        "resource_label",
        "target_value",
        "mode",
        "scheduling_buffer_time",
        "max_capacity_breach_behavior",
        "max_capacity_buffer",
    ],
    planned: &["customized_capacity_metric_specification", "customized_load_metric_specification"],
};

pub(super) const TARGET_TRACKING: TableKeys = TableKeys {
    table: "service.auto_scaling.target_tracking",
    keys: &[
        "policy_name",
        "metric",
        "resource_label",
        "customized_metric_specification",
        "target_value",
        "scale_out_cooldown",
        "scale_in_cooldown",
        "disable_scale_in",
    ],
    planned: &[],
};

pub(super) const SUSPENDED_STATE: TableKeys = TableKeys {
    table: "service.auto_scaling.suspended_state",
    keys: &["dynamic_scaling_in_suspended", "dynamic_scaling_out_suspended", "scheduled_scaling_suspended"],
    planned: &[],
};

pub(super) const CUSTOMIZED_METRIC: TableKeys = TableKeys {
    table: "service.auto_scaling.target_tracking.customized_metric_specification",
    keys: &["namespace", "metric_name", "dimensions", "statistic", "metrics"],
    planned: &["unit"],
};

pub(super) const METRIC_QUERY: TableKeys = TableKeys {
    table: "service.auto_scaling.target_tracking.customized_metric_specification.metrics",
    keys: &["id", "label", "expression", "metric_stat", "return_data"],
    planned: &[],
};

pub(super) const METRIC_STAT: TableKeys = TableKeys {
    table: "service.auto_scaling.target_tracking.customized_metric_specification.metrics.metric_stat",
    keys: &["metric", "stat"],
    planned: &["unit"],
};

pub(super) const QUERIED_METRIC: TableKeys = TableKeys {
    table: "service.auto_scaling.target_tracking.customized_metric_specification.metrics.metric_stat.metric",
    keys: &["namespace", "metric_name", "dimensions"],
    planned: &[],
};

pub(super) const STEP_SCALING: TableKeys = TableKeys {
    table: "service.auto_scaling.step_scaling",
    keys: &[
        "policy_name",
        "alarm",
        "adjustment_type",
        "step_adjustments",
        "min_adjustment_magnitude",
        "cooldown",
        "metric_aggregation_type",
    ],
    planned: &[],
};

pub(super) const STEP_ADJUSTMENT: TableKeys = TableKeys {
    table: "service.auto_scaling.step_scaling.step_adjustments",
    keys: &["metric_interval_lower_bound", "metric_interval_upper_bound", "scaling_adjustment"],
    planned: &[],
};

pub(super) const SCHEDULED_ACTION: TableKeys = TableKeys {
    table: "service.auto_scaling.scheduled_actions",
    keys: &["scheduled_action_name", "schedule", "timezone", "start_time", "end_time", "min_capacity", "max_capacity"],
    planned: &[],
};

pub(super) const ALARM: TableKeys = TableKeys {
    table: "alarm",
    keys: &[
        "alarm_name",
        "namespace",
        "metric_name",
        "dimensions",
        "statistic",
        "period",
        "evaluation_periods",
        "datapoints_to_alarm",
        "threshold",
        "comparison_operator",
        "treat_missing_data",
    ],
    planned: &["alarm_description", "extended_statistic", "metrics", "tags", "unit"],
};

pub(super) const METRIC: TableKeys =
    TableKeys { table: "metric", keys: &["namespace", "metric_name", "dimensions", "steps"], planned: &[] };

pub(super) const METRIC_STEP: TableKeys = TableKeys { table: "metric.steps", keys: &["at", "value"], planned: &[] };

pub(super) const RUN_TASK: TableKeys = TableKeys {
    table: "run_task",
    keys: &[
        "task_definition",
        "launch_type",
        "capacity_provider_strategy",
        "count",
        "group",
        "started_by",
        "at",
        "overrides",
        "placement_strategy",
        "placement_constraints",
        "tags",
        "propagate_tags",
        "network_configuration",
    ],
    planned: &[
        "client_token",
        "enable_ecs_managed_tags",
        "enable_execute_command",
        "platform_version",
        "reference_id",
        "volume_configurations",
    ],
};

pub(super) const START_TASK: TableKeys = TableKeys {
    table: "start_task",
    keys: &[
        "task_definition",
        "container_instances",
        "group",
        "started_by",
        "at",
        "overrides",
        "tags",
        "propagate_tags",
        "network_configuration",
    ],
    planned: &["enable_ecs_managed_tags", "enable_execute_command", "reference_id", "volume_configurations"],
};

pub(super) const OVERRIDES: TableKeys = TableKeys {
    table: "run_task.overrides",
    keys: &["container", "cpu", "memory", "ephemeral_storage"],
    planned: &["execution_role_arn", "task_role_arn"],
};

pub(super) const OVERRIDDEN_STORAGE: TableKeys =
    TableKeys { table: "run_task.overrides.ephemeral_storage", keys: &["size_in_gib"], planned: &[] };

pub(super) const CONTAINER_OVERRIDE: TableKeys = TableKeys {
    table: "run_task.overrides.container",
    keys: &[
        "name",
        "command",
        "environment",
        "environment_files",
        "cpu",
        "memory",
        "memory_reservation",
        "resource_requirements",
    ],
    planned: &[],
};

pub(super) const OVERRIDDEN_RESOURCE_REQUIREMENT: TableKeys =
    TableKeys { table: "run_task.overrides.container.resource_requirements", keys: &["type", "value"], planned: &[] };

pub(super) const UPDATE_SERVICE: TableKeys = TableKeys {
    table: "update_service",
    keys: &["at", "service", "task_definition", "desired_count"],
    planned: &["force_new_deployment"],
};

pub(super) const TASK_SIMULATION: TableKeys = TableKeys {
    table: "task_definition.simulation",
    keys: &[
        "work",
        "pull",
        "cold_start",
        "duration",
        "cpu",
        "job_cpu",
        "job_wait",
        "stop",
        "memory",
        "exit_code",
        "crash",
    ],
    planned: &[],
};

pub(super) const CRASH: TableKeys =
    TableKeys { table: "task_definition.simulation.crash", keys: &["probability", "after", "exit_code"], planned: &[] };

pub(super) const DISTRIBUTION: TableKeys =
    TableKeys { table: "distribution", keys: &["constant", "exponential", "log_normal", "empirical"], planned: &[] };

pub(super) const EXPONENTIAL: TableKeys =
    TableKeys { table: "distribution.exponential", keys: &["mean"], planned: &[] };

pub(super) const LOG_NORMAL: TableKeys =
    TableKeys { table: "distribution.log_normal", keys: &["median", "p99", "mean", "sigma"], planned: &[] };

pub(super) const LOAD: TableKeys = TableKeys {
    table: "load",
    keys: &[
        "service",
        "container",
        "job",
        "arrivals",
        "traffic",
        "jobs_per_second",
        "steps",
        "sine",
        "spikes",
        "trace",
        "rows",
        "scale",
        "stretch",
    ],
    planned: &[],
};

pub(super) const LOAD_SINE: TableKeys =
    TableKeys { table: "load.sine", keys: &["mean", "amplitude", "period", "peak"], planned: &[] };

pub(super) const LOAD_SPIKE: TableKeys =
    TableKeys { table: "load.spikes", keys: &["at", "duration", "jobs_per_second"], planned: &[] };

pub(super) const LOAD_STEP: TableKeys =
    TableKeys { table: "load.steps", keys: &["at", "jobs_per_second"], planned: &[] };
