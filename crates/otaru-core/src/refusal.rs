//! Every way the service turns a call down: a stable code, a sentence, and what exactly was wrong.
//!
//! Codes and texts are those of the public API reference and its error-code list; where the reference prints no text,
//! the sentence is ours. Clients compare codes literally: add codes, never rename one.

use std::fmt;

/// A code of the API with the sentence that goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    pub code: &'static str,
    pub message: &'static str,
}

impl Code {
    /// A refusal that names the value or the limit.
    pub fn with(self, detail: impl fmt::Display) -> Refusal {
        Refusal { code: self.code, message: self.message, detail: Some(detail.to_string()) }
    }
}

/// A call that was refused and changed nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub code: &'static str,
    pub message: &'static str,
    /// The offending value or the limit, as it came in: whoever prints it cuts and cleans it.
    pub detail: Option<String>,
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self { code: code.code, message: code.message, detail: None }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)?;
        self.detail.as_ref().map_or(Ok(()), |detail| write!(f, " {detail}"))
    }
}

impl std::error::Error for Refusal {}

macro_rules! codes {
    ($($name:ident = $code:literal, $message:literal;)*) => {
        $(pub const $name: Code = Code { code: $code, message: $message };)*
        /// Every business code that can arise.
        pub const ALL: &[Code] = &[$($name),*];
    };
}

codes! {
    SYSTEM_EXCEPTION = "iot.system.SystemException", "An internal error occurred. Try again later.";
    INSTANCE_NOT_FOUND = "iot.system.InstanceNotFound", "The instance ID does not exist.";
    INSTANCE_OFF = "iot.Sre.IotInstanceStatusForbidden", "Instance status forbidden.";
    INVALID_PAGE = "iot.common.InvalidPageParams", "The specified pagination size or pagination parameter is invalid.";
    INVALID_PARAMETER = "iot.common.InvalidFormattedParameter", "The parameter format is invalid.";
    NULL_PARAMETER = "iot.check.NullParameter", "Specify parameter is null.";
    RAM_DENIED = "iot.common.RamActionPermissionDeny", "You do not have the RAM permission.";
    AUTH_DENIED = "iot.common.AuthActionPermissionDeny", "The authorization fails.";

    NULL_PRODUCT_KEY = "iot.prod.NullProductKey", "The productKey is empty.";
    MALFORMED_PRODUCT_KEY = "iot.prod.InvalidFormattedProductkey", "The productKey format is incorrect.";
    NO_PRODUCT = "iot.prod.NotExistedProduct", "The specified product does not exist.";
    INVALID_NODE_TYPE = "iot.prod.InvalidNodeType", "NodeType is invalid.";
    NULL_PRODUCT_NAME = "iot.prod.NullProductName", "The product name is empty.";
    MALFORMED_PRODUCT_NAME = "iot.prod.InvalidFormattedProductName", "The format of the product name is invalid.";
    INVALID_COMMODITY_CODE = "iot.prod.InvalidAliyunCommodityCode", "AliyunCommodityCode is invalid.";
    INVALID_AUTH_TYPE = "iot.prod.InvalidProductAuthType", "The product authentication type is invalid.";
    NO_ID2 = "iot.prod.NotOpenID2Service", "The ID2 service is not available.";
    MALFORMED_CATEGORY = "iot.prod.InvalidFormattedCatId", "The category is invalid.";
    LONG_PRODUCT_DESCRIPTION = "iot.prod.LongProductDesc", "The product description exceeds 100 characters.";
    PRODUCT_NAME_TAKEN = "iot.prod.AlreadyExistedProductName", "The product name already exists.";
    TOO_MANY_PRODUCTS = "iot.prod.ProductCountExceedMax", "The number of products exceeds the limit.";
    CREATE_TOPIC_FAILED = "iot.prod.CreateProductTopicFailed", "Failed to create the topic category.";
    CREATE_PRODUCT_FAILED = "iot.prod.CreateProductFailed", "Failed to create the product.";

    UPDATE_PRODUCT_FAILED = "iot.prod.UpdateProductFailed", "Failed to update the product.";
    QUERY_PRODUCTS_FAILED = "iot.prod.QueryProductListActionError", "Failed to query products.";

    NULL_DEVICE_NAME = "iot.device.NullDeviceName", "The deviceName is empty.";
    INVALID_IOT_ID = "iot.device.InvalidIoTId", "The specified device ID is invalid.";
    MALFORMED_DEVICE_NAME = "iot.device.InvalidFormattedDeviceName", "The deviceName format is incorrect.";
    NO_DEVICE = "iot.device.NotExistedDevice", "The device does not exist.";
    MALFORMED_DEVICE_NAMES = "iot.device.InvalidFormattedDeviceNameInNameArray",
        "The deviceName list contains an invalid device name.";
    DEVICE_NAME_TAKEN = "iot.device.AlreadyExistedDeviceName", "The DeviceName already exists.";
    TOO_MANY_DEVICES = "iot.device.DeviceNumerExceedTenant", "The number of devices of the account exceeds the limit.";
    CREATE_DEVICE_FAILED = "iot.device.CreateDeviceFailed", "An error occurred while creating the device.";
    INVALID_PAGE_TOKEN = "iot.device.PageTokenIsIllegal", "NextToken is invalid.";
    QUERY_DEVICES_FAILED = "iot.device.QueryDeviceListActionError", "Failed to query devices.";

    NO_DEVICE_NAMES = "iot.device.NoneDeviceNameElement", "The DeviceName list is empty.";
    TOO_MANY_DEVICE_NAMES = "iot.device.TooManyDeviceNamesPerRequest",
        "The devices you query exceed the maximum number.";
    DELETE_DEVICE_FAILED = "iot.device.DeleteDeviceFailed", "Failed to delete the device.";
    DISABLE_DEVICE_FAILED = "iot.device.DisableDeviceFailed", "Failed to disable the device.";
    ENABLE_DEVICE_FAILED = "iot.device.EnableDeviceFailed", "Failed to enable the device.";
    QUERY_DEVICE_STATUS_FAILED = "iot.device.QueryDeviceStatusFailed", "Failed to query the status of the device.";
    QUERY_STATISTICS_FAILED = "iot.device.QueryDeviceStatisticsFailed", "Failed to query statistics.";

    TOO_MANY_IN_BATCH = "iot.device.DeviceCountExceeded", "The number of devices exceeds the limit of one call.";
    REGISTER_BATCH_FAILED = "iot.device.ApplyManyDevicesFailed", "Failed to apply for the devices.";
    BAD_DEVICE_NAMES = "iot.device.InvalidDeviceNameExisted", "The list contains invalid device names.";
    BAD_NICKNAMES = "iot.device.InvalidDeviceNickNameExisted", "The list contains invalid nicknames.";
    INVALID_APPLY_ID = "iot.device.InvalidFormattedApplyId", "The ApplyId is invalid.";
    NO_APPLY = "iot.device.DeviceApplyIsNotFound", "The application ID for the device does not exist.";
    APPLY_DOES_NOT_FIT = "iot.device.IncorrentDeviceApplyInfo", "The registration task does not fit the request.";
    APPLY_IS_RUNNING = "iot.device.CreateDeviceTaskIsRunning", "The registration task is still running.";

    NULL_GROUP_ID = "iot.group.NullGroupId", "You must specify the device group ID.";
    NO_GROUP = "iot.group.NotExistedGroup", "The specified device group does not exist.";
    INVALID_GROUP_NAME = "iot.group.InvalidGroupName", "The specified device group name is invalid.";
    LONG_GROUP_DESCRIPTION = "iot.group.LongGroupDescError", "The group description exceeds the length limit.";
    NO_SUPER_GROUP = "iot.group.SuperGroupUnsupport", "The super groups do not support subGroups.";
    GROUP_NAME_TAKEN = "iot.group.GroupNameExisted", "The specified device group name already exists.";
    TOO_MANY_GROUP_LEVELS = "iot.group.GroupLevelExceedingLimitError", "Groups have at most three levels.";
    TOO_MANY_GROUPS = "iot.group.GroupCountExceedMax", "The number of device groups exceeds the limit.";
    GROUP_HAS_CHILDREN = "iot.group.SubGroupNotNull", "The group has sub-groups.";
    TOO_MANY_DEVICES_IN_DYNAMIC_GROUP = "iot.group.DynamicGroupMatchedDeviceCountExceedMax",
        "The maximum number of device matched by dynamic group condition is exceeded.";
    BIND_GROUP_FAILED = "iot.group.BindGroupRelationFailed", "Failed to bind the devices to the group.";
    CREATE_GROUP_FAILED = "iot.group.CreateGroupFailed", "An error occurred while creating a device group.";
    UPDATE_GROUP_FAILED = "iot.group.UpdateGroupFailed", "Failed to update the group.";
    DELETE_GROUP_FAILED = "iot.group.DeleteGroupFailed", "An error occurred while deleting the device group.";
    LIST_GROUPS_FAILED = "iot.group.QueryGroupListFailed", "Failed to query groups.";
    QUERY_GROUP_FAILED = "iot.group.QueryGroupInfoFailed", "An error occurred while querying the device group details.";
    QUERY_MEMBERS_FAILED = "iot.group.QueryGroupRelationFailed", "Failed to query the group members.";
    SHORT_FUZZY_NAME = "iot.device.FuzzyRuntimeSearchMinLengthLimit", "Fuzzy runtime search length must exceed 4.";

    INVALID_RULE = "iot.devicesearch.InvalidSQLError", "The SQL statement is invalid.";
    INVALID_RULE_FIELD = "iot.devicesearch.InvalidSQLFieldError",
        "The SQL statement contains invalid field names.";
    TOO_MANY_CONDITIONS = "iot.devicesearch.InvalidSQLConditionError",
        "The SQL statement contains too many conditions.";
    INVALID_RULE_OPERATOR = "iot.devicesearch.InvalidSQLOperatorTypeError",
        "The operator and data type in the SQL statement do not match.";
    RULE_WITH_ORDER = "iot.devicesearch.InvalidSQLOrderError",
        "The SQL statement contains invalid ORDER BY conditions.";
    RULE_WITH_OFFSET = "iot.devicesearch.InvalidSQLOffsetError", "The SQL offset is invalid.";
    UNSUPPORTED_RULE = "iot.devicesearch.InvalidSQLParamError", "The SQL syntax is unsupported.";
    UNKNOWN_TSL_IDENTIFIER = "iot.devicesearch.InvalidSQLIdentfierError", "The TSL identifier is not configured.";

    LONG_TAGS = "iot.device.LongDevicePropertiesString", "The tags are too long.";
    MALFORMED_TAGS = "iot.device.InvalidFormattedDevicePropertiesString", "The format of the tags is invalid.";
    NO_TAG = "iot.device.NoneDeviceProperties", "No tag is given.";
    MALFORMED_TAG_KEY = "iot.device.InvalidFormattedDevicePropertyKey", "The format of a tag key is invalid.";
    TOO_MANY_TAGS = "iot.device.TooManyDevicePropertiesPerTime", "There are too many tags.";
    SAVE_TAGS_FAILED = "iot.device.SaveOrUpdateDevicePropertiesFailed", "Failed to save the tags.";
    QUERY_TAGS_FAILED = "iot.common.QueryDevicePropertyActionError",
        "An error occurred while querying the device property.";
    DELETE_TAG_FAILED = "iot.device.DeleteDevicePropertyFailed", "Failed to delete the tag.";
    QUERY_PRODUCT_TAGS_FAILED = "iot.prod.QueryExtendPropertyFailed", "Failed to query product tags.";

    MALFORMED_TOPIC = "iot.messagebroker.InvalidFormattedTopicName", "The format of the topic is invalid.";
    NO_TOPIC = "iot.messagebroker.TopicTemplateIsNotFound", "The topic category does not exist.";
    NOT_BASE64 = "iot.messagebroker.MessageContentIsNotBase64Encode", "The message content is not base64.";
    RATE_LIMIT = "iot.messagebroker.RateLimit", "The request is throttled.";
    PUBLISH_FAILED = "iot.messagebroker.PublishMessageFailed", "Failed to publish the message.";

    INVALID_UPLOAD_PARAMETER = "iot.firmware.InvalidGenerateOTAUploadURLParam",
        "The parameter of the upload URL request is invalid.";
    UPLOAD_URL_FAILED = "iot.firmware.GenerateOTAUploadURLFailure", "Failed to generate the upload URL.";

    BLANK_PACKAGE_NAME = "iot.firmware.BlankFirmwareName", "The package name is blank.";
    MALFORMED_PACKAGE_NAME = "iot.firmware.IncorrectFormattedFirmwareName",
        "The format of the OTA update package name is invalid.";
    MALFORMED_PACKAGE_VERSION = "iot.firmware.IncorrectFormattedFirmwareVersion",
        "The format of the package version is invalid.";
    LONG_PACKAGE_DESCRIPTION = "iot.firmware.FirmwareDescriptionExceedMaxLength",
        "The package description exceeds 100 characters.";
    LONG_UDI = "iot.firmware.FirmwareUdiExceedLimit", "The UDI of the firmware is longer than the limit.";
    INVALID_PACKAGE_TYPE = "iot.firmware.InvalidFirmwareType", "The package type is invalid.";
    INVALID_SIGN_METHOD = "iot.firmware.InvalidFirmwareSignMethod", "The signature method is invalid.";
    NULL_SRC_VERSION = "iot.firmware.SrcVersionIsMandatory", "The source version is required for a delta package.";
    MALFORMED_SRC_VERSION = "iot.firmware.IncorrectFormattedSrcVersion",
        "The format of the source version is invalid.";
    SRC_IS_DEST = "iot.firmware.SrcDestVersionMatched", "The source version equals the destination version.";
    MALFORMED_MODULE = "iot.firmware.IncorrectFormattedModuleName", "The format of the module name is invalid.";
    NULL_PACKAGE_URL = "iot.firmware.NullFirmwareUrl", "The package URL is empty.";
    LIST_TOO_LONG = "iot.firmware.ParameterSizeExceedMax", "The list has too many items.";
    MALFORMED_PACKAGE_URL = "iot.firmware.MalformedFirmwareUrl", "The URL is malformed.";
    NO_MODULE = "iot.ota.OTAModuleNotExist", "The module does not exist.";
    INVALID_PACKAGE_URL = "iot.firmware.InvalidFirmwareUrl", "The URL is not a file address of this service.";
    EMPTY_PACKAGE_FILE = "iot.firmware.EmptyFirmwareFile", "The package file is empty.";
    INVALID_PACKAGE_SIZE = "iot.firmware.InvalidFirmwareSize", "The package size is invalid.";
    INVALID_PACKAGE_SIGN = "iot.firmware.InvalidFirmwareSign", "The package signature is invalid.";
    PACKAGE_NAME_TAKEN = "iot.firmware.AlreadyExistedFirmwareName", "The OTA update package already exists.";
    PACKAGE_VERSION_TAKEN = "iot.firmware.AlreadyExistedFirmwareVersion",
        "The product already has a package of this version.";
    TOO_MANY_PACKAGES = "iot.firmware.FirmwareCountExceedMax", "The number of packages exceeds the limit.";
    CREATE_PACKAGE_FAILED = "iot.firmware.CreateFirmwareFailure", "Failed to create the package.";
    NO_PACKAGE = "iot.firmware.FirmwareNotFound", "The package does not exist.";
    DELETE_PACKAGE_FAILED = "iot.firmware.DeleteFirmwareFailure", "The package cannot be deleted.";
    LIST_PACKAGES_FAILED = "iot.firmware.ListOTAFirmwareFailed", "Failed to list packages.";
    PACKAGE_OF_OTHER_PRODUCT = "iot.firmware.FirmwareAndProductKeyMismatch",
        "The package does not belong to the product.";
    PACKAGE_NOT_VERIFIED = "iot.firmware.FirmwareNotVerified", "The package is not verified.";
    PACKAGE_DOES_NOT_FIT = "iot.firmware.InvalidFirmware", "The package does not fit the request.";

    TAG_KEY_DUPLICATED = "iot.ota.tag.KeyDuplicated", "A tag key is duplicated.";
    TAGS_TOO_LONG = "iot.ota.JobTagIsTooLong", "The tags of job exceed the maximum number of characters.";
    INVALID_RATE = "iot.firmware.InvalidMaximumPerMinute", "MaximumPerMinute is out of range.";
    INVALID_RETRY_INTERVAL = "iot.firmware.InvalidRetryInterval", "The retry interval is invalid.";
    INVALID_RETRY_COUNT = "iot.firmware.InvalidRetryCount", "The retry count is invalid.";
    INVALID_TIMEOUT = "iot.firmware.InvalidTimeoutSetting", "The timeout is invalid.";
    INVALID_OVERWRITE_MODE = "iot.firmware.InvalidOverwriteMode", "The overwrite mode is invalid.";

    VERIFY_JOB_RUNNING = "iot.firmware.InProgressVerifyJobExisted", "A verification of the package is in progress.";
    ALREADY_VERIFIED = "iot.firmware.VerifyFirmwareFailed", "The package is already verified.";
    DEVICE_NEVER_REPORTED = "iot.firmware.NonVersionedDeviceInArray", "A device has reported no version.";
    DEVICE_SRC_MISMATCH = "iot.firmware.SrcVersionMismatch",
        "The version of a device differs from the source version of the package.";
    DEVICES_AT_DEST = "iot.firmware.DeviceWithDestinationVersionInArray",
        "The devices already have the destination version.";
    CREATE_JOB_FAILED = "iot.firmware.CreateOTAUpgradeJobFailure", "Failed to create the job.";

    INVALID_TARGET = "iot.firmware.InvalidTargetSelection", "The target selection is invalid.";
    NULL_TARGET_DEVICES = "iot.firmware.NullTargetDeviceNames", "No target device is given.";
    TARGET_DEVICES_NOT_ALLOWED = "iot.firmware.TargetDeviceNamesNotAllowed", "Target devices are not allowed here.";
    NULL_GRAY_PERCENT = "iot.firmware.NullGrayPercent", "GrayPercent is required.";
    MALFORMED_GRAY_PERCENT = "iot.firmware.BadlyFormattedGrayPercent", "The format of GrayPercent is invalid.";
    INVALID_GRAY_PERCENT = "iot.firmware.InvalidGrayPercent", "GrayPercent is out of range.";
    SRC_VERSIONS_NOT_ALLOWED = "iot.firmware.SrcVersionsNotAllowed", "Source versions are not allowed here.";
    TOO_MANY_SRC_VERSIONS = "iot.firmware.SrcVersionsSizeExceedMax",
        "The number of source versions exceeds the limit.";
    SCHEDULE_IN_PAST = "iot.firmware.FireTimeMustLargeThanCurrentTime",
        "The schedule time must be later than now.";
    SCHEDULE_TOO_SOON = "iot.firmware.FireTimeTooShort", "The schedule time must be at least 5 minutes ahead.";
    SCHEDULE_TOO_LATE = "iot.firmware.FireTimeTooLate", "The schedule time must be at most 7 days ahead.";
    FINISH_WITHOUT_START = "iot.firmware.ScheduleFinishTimeWithoutStartTime",
        "A schedule finish time requires a schedule time.";
    FINISH_BEFORE_START = "iot.firmware.ScheduleFinishTimeEarlierThanStartTime",
        "The schedule finish time must be later than the schedule time.";
    FINISH_TOO_SOON = "iot.firmware.ScheduleFinishTimeTooEarly",
        "The schedule finish time must be at least 60 minutes after the schedule time.";
    FINISH_TOO_LATE = "iot.firmware.ScheduleFinishTimeTooLate",
        "The schedule finish time must be at most 30 days after the schedule time.";
    NULL_SRC_VERSIONS = "iot.firmware.NullSrcVersions", "The list of source versions is empty.";
    MORE_THAN_ONE_SRC_VERSION = "iot.firmware.MoreThanOneSrcVersion",
        "A delta package takes exactly one source version.";
    SRC_VERSION_NOT_OF_PACKAGE = "iot.firmware.UpgradeSrcVersionMismatch",
        "The source version differs from that of the delta package.";
    NO_DEVICE_CAN_UPGRADE = "iot.firmware.NoDeviceCanUpgrade", "No device can be upgraded.";
    TOO_MANY_DEVICES_IN_JOB = "iot.firmware.TooManyDeviceUpgrade", "Too many devices are to be upgraded.";
    TOO_MANY_DEVICES_AT_TIME = "iot.firmware.TooManyDeviceUpgradeForScheduleTime",
        "Too many devices are to be upgraded at the schedule time.";

    DYNAMIC_SPECIFIC = "iot.firmware.DynamicSpecificNotSupported", "A dynamic job cannot be SPECIFIC.";
    DYNAMIC_GRAY = "iot.firmware.DynamicGrayNotSupported", "A dynamic job cannot be GRAY.";
    GRAY_IS_STATIC = "iot.firmware.GrayAppliesToStaticOnly", "GrayPercent applies to static jobs only.";
    INVALID_DYNAMIC_MODE = "iot.firmware.InvalidDynamicMode", "The dynamic mode is invalid.";
    DYNAMIC_JOB_RUNNING = "iot.firmware.InProgressDynamicJobExisted",
        "A dynamic job of the package is in progress.";

    NO_JOB = "iot.firmware.InvalidOTAJobId", "The job does not exist.";
    LIST_JOBS_FAILED = "iot.firmware.ListOTAJobFailed", "Failed to list jobs.";
    INVALID_TASK_STATUS = "iot.firmware.InvalidTaskStatus", "Invalid TaskStatus.";
    LIST_TASKS_FAILED = "iot.firmware.ListOTATaskByJobFailed", "Failed to list tasks.";
    NO_CANCEL_OPTION = "iot.firmware.CancelOptionIsMandatory", "At least one cancel option is required.";
    NOT_SCHEDULED = "iot.firmware.JobHasNoScheduleTime", "The job is not scheduled.";
    CANCEL_TASKS_FAILED = "iot.firmware.CancelOTATaskByJobFailed", "Failed to cancel the tasks.";

    INVALID_SUBSCRIPTION_KIND = "iot.consumer.group.InvalidSubscribeType", "The subscription type is invalid.";
    NO_NOTICES = "iot.consumer.group.CallbackTypeEmpty", "No message type is switched on.";
    NO_QUEUE_NOTICE = "iot.consumer.group.MnsNotSupport", "A queue subscription does not support this.";
    INVALID_QUEUE = "iot.consumer.group.MnsCheckFailed", "The queue configuration is invalid.";
    INVALID_CONSUMER_GROUP_ID = "iot.consumer.group.InvalidConsumerGroupId", "Illegal consumer group ID";
    INVALID_CONSUMER_GROUP_NAME = "iot.consumer.group.InvalidConsumerGroupName",
        "The consumer group name is invalid.";
    INVALID_CONSUMER_GROUP = "iot.consumer.group.InvalidConsumerGroup", "The consumer group is invalid.";
    NO_CONSUMER_GROUP = "iot.consumer.group.ConsumerGroupNotExist", "The consumer group does not exist.";
    CONSUMER_GROUP_NAME_TAKEN = "iot.consumer.group.ConsumerGroupNameExisted",
        "The consumer group name is already used.";
    TOO_MANY_CONSUMER_GROUPS = "iot.consumer.group.ConsumerGroupExceedLimit",
        "The number of consumer groups exceeds the limit.";
    TOO_MANY_SUBSCRIBED_GROUPS = "iot.consumer.group.ConsumerGroupExceedsLimit",
        "The number of consumer groups of the subscription exceeds the limit.";
    DEFAULT_GROUP_IS_FIXED = "iot.consumer.group.ChangeDefaultConsumerGroupNotAllowed",
        "The default consumer group cannot be changed.";
    CREATE_CONSUMER_GROUP_FAILED = "iot.consumer.group.CreateConsumerGroupFailed",
        "Failed to create the consumer group.";
    UPDATE_CONSUMER_GROUP_FAILED = "iot.consumer.group.UpdateConsumerGroupFailed",
        "Failed to update the consumer group.";
    DELETE_CONSUMER_GROUP_FAILED = "iot.consumer.group.DeleteConsumerGroupFailed",
        "The consumer group cannot be deleted.";
    CONSUMER_GROUP_STATUS_FAILED = "iot.consumer.group.QueryConsumerGroupStatusFailed",
        "Failed to query the status of the consumer group.";

    LONG_MODIFIED_DESCRIPTION = "iot.firmware.FirmwareDescExceedLimit",
        "The description of the firmware is longer than the limit.";
    NO_FIRMWARE = "iot.ota.FirmwareNotFound", "The specified firmware does not exist.";
    FIRMWARE_OF_OTHER_ACCOUNT = "iot.ota.TenantIdMisMatch", "The tenantId is invalid.";
    OF_OTHER_INSTANCE = "iot.ota.InstanceIdMisMatch", "The instanceId is invalid.";
    FIRMWARE_OF_OTHER_PRODUCT = "iot.ota.FirmwareAndProductKeyMismatch",
        "The OTA update package is not consistent with the ProductKey.";

    INVALID_UPDATED_RATE = "iot.ota.InvalidMaximumPerMinute", "Invalid MaximumPerMinute.";
    INVALID_UPGRADE_TYPE = "iot.ota.InvalidUpgradeType", "Invalid upgrade type.";
    INVALID_UPDATED_TIMEOUT = "iot.ota.InvalidTimeout", "Parameter TimeoutInMinutes is invalid.";
    EMPTY_SRC_VERSION_LIST = "iot.ota.EmptySrcVersionList", "Parameter SrcVersionList is empty.";
    SRC_VERSION_LIST_OF_GROUP = "iot.ota.InvalidSrcVersionList",
        "Parameter SrcVersionList does not support by group upgrade.";
    NO_UPDATED_JOB = "iot.ota.taskNotExist", "Task is not existed.";
    JOB_OF_OTHER_ACCOUNT = "iot.ota.OperationForbidden", "This operation is forbidden by the tenantId.";
    JOB_HAS_FINISHED = "iot.ota.JobHasFinished", "The job has finished.";
    JOB_HAS_CANCELED = "iot.ota.JobHasCanceled", "The job has canceled.";
    UPDATED_JOB_NOT_DYNAMIC = "iot.ota.noDynamicJob", "Task is not dynamic.";
    INVALID_STRATEGY_TYPE = "iot.ota.InvalidStrategyType", "Invalid strategy type.";

    NOT_DYNAMIC = "iot.firmware.NotDynamicJob", "The job is not dynamic.";
    JOB_ALREADY_CANCELED = "iot.firmware.JobAlreadyCanceled", "The job is already canceled.";
    CANCEL_STRATEGY_FAILED = "iot.firmware.CancelOTAStrategyByJobFailed", "Failed to cancel the policy.";

    NO_TASK_OF_DEVICES = "iot.firmware.DeviceUpgradeRecordNotFound", "The device has no upgrade task.";
    TASKS_HAVE_ENDED = "iot.firmware.IncorrectDeviceUpgradeJobStatus",
        "The status of the upgrade task does not allow this.";
    CANCEL_BY_DEVICE_FAILED = "iot.firmware.BatchCancelDeviceUpgradeFailed", "Failed to cancel the tasks.";
    NO_TASK = "iot.firmware.InvalidOTATaskId", "The task does not exist.";
    NO_DEVICE_PARAMETERS = "iot.ota.EmptyDeviceInfoParams", "the device info in params is empty";
    NULL_MODULE_NAME = "iot.ota.NullOtaModuleName", "the module name can not be empty.";
    INVALID_MODULE_NAME = "iot.ota.InvalidOtaModuleName", "the format of module name is invalid.";
    LIST_TASKS_OF_DEVICE_FAILED = "iot.firmware.ListOTATaskByDeviceFailed", "Failed to list OTA tasks by device.";

    TOO_MANY_TASKS = "iot.ota.TooManyOtaTask", "There are too many tasks in parameters.";
    NO_REUPGRADED_JOB = "iot.ota.InvalidJobId", "The job is not existed.";
    NOT_PACKAGE_OWNER = "iot.ota.NotFirmwareOwner", "The user is not owner of firmware.";
    PACKAGE_IS_DELETED = "iot.ota.InvalidFirmwareUid", "The firmware is not exist.";
    JOB_IS_CANCELED = "iot.ota.JobCanceled", "The job has already been canceled.";
    NO_REUPGRADED_TASK = "iot.ota.InvalidTaskId", "The tasks are not existed.";
    SOME_TASKS_INVALID = "iot.ota.InvalidTaskExist", "The taskId list contains at least an invalid task.";
    TASK_OF_OTHER_JOB = "iot.ota.UnmatchedJob", "The jobId and taskId do not match.";
    NO_FAILED_TASK = "iot.ota.FailedTaskNotFound", "There are no failed tasks.";
    DEVICE_IS_DELETED = "iot.ota.DeviceNotExist", "The device does not exist.";
    DEVICE_NOT_REUPGRADED = "iot.ota.DeviceNotReUpgraded", "There is no device can upgrade.";

    CREATE_MODULE_PARAMETER = "iot.ota.CreateOTAModuleParamError", "A module parameter is invalid.";
    MODULE_NAME_RESERVED = "iot.firmware.ModuleNameReserved", "The module name is reserved.";
    MODULE_NAME_TAKEN = "iot.ota.CreateOTAModuleNameExist", "The module name already exists.";
    TOO_MANY_MODULES = "iot.ota.CreateOTAModuleExceedLimit", "The number of modules exceeds the limit.";
    CREATE_MODULE_FAILED = "iot.ota.CreateOTAModuleFailure", "Failed to create the module.";
    UPDATE_MODULE_PARAMETER = "iot.ota.UpdateOTAModuleParamError", "A module parameter is invalid.";
    UPDATE_MODULE_FAILED = "iot.ota.UpdateOTAModuleFailure", "Failed to update the module.";
    DELETE_DEFAULT_MODULE = "iot.ota.DeleteOtaDefaultModule", "The default module cannot be deleted.";
    MODULE_HAS_PACKAGES = "iot.ota.DeleteOTAModulePackageExist", "The module still has packages.";
    DELETE_MODULE_FAILED = "iot.ota.DeleteOTAModuleFailure", "Failed to delete the module.";
    LIST_MODULES_FAILED = "iot.ota.ListOTAModuleFailure", "Failed to list the modules.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_stands_twice() {
        let mut codes: Vec<_> = ALL.iter().map(|c| c.code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), ALL.len());
    }

    #[test]
    fn a_refusal_says_what_was_wrong() {
        assert_eq!(
            NO_JOB.with("abc").to_string(),
            "iot.firmware.InvalidOTAJobId: The job does not exist. abc"
        );
    }
}
