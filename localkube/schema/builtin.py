"""Which fields built-in resources have, of which type, and how their lists merge: the table behind strict decoding,
server-side apply, strategic patches and `kubectl explain`.

One line a field: `name type flags`. Types: s string, i integer, b boolean, n number, q quantity, is integer or string,
t time, any; `[]T` list, `{}T` map, otherwise a type of this table. Flags: `!` required; `key=a,b` the list is a map by
these keys; `merge=a` its key in strategic patches where that differs from the first of key; `set`; `atomic`;
`retain` strategic patches drop keys the patch does not retain. Facts are those of the Kubernetes API reference.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from localkube.schema.structural import Schema

_TABLE = """
Meta
 name s; generateName s; namespace s; selfLink s; uid s; resourceVersion s; generation i; creationTimestamp t
 deletionTimestamp t; deletionGracePeriodSeconds i; labels {}s; annotations {}s
 ownerReferences []OwnerRef key=uid; finalizers []s set; managedFields []ManagedFields atomic
OwnerRef atomic
 apiVersion s !; kind s !; name s !; uid s !; controller b; blockOwnerDeletion b
ManagedFields
 manager s; operation s; apiVersion s; time t; fieldsType s; fieldsV1 any; subresource s
LabelSelector atomic
 matchLabels {}s; matchExpressions []LabelRequirement atomic
LabelRequirement
 key s !; operator s !; values []s atomic
ObjectRef atomic
 kind s; namespace s; name s; uid s; apiVersion s; resourceVersion s; fieldPath s
LocalRef atomic
 name s
TypedRef atomic
 apiGroup s; kind s !; name s !; namespace s
Condition
 type s !; status s !; observedGeneration i; lastTransitionTime t; lastUpdateTime t; lastProbeTime t; lastHeartbeatTime t; reason s; message s

Namespace
 spec NamespaceSpec; status NamespaceStatus
NamespaceSpec
 finalizers []s atomic
NamespaceStatus
 phase s; conditions []Condition key=type

Pod
 spec PodSpec; status PodStatus
PodTemplate
 metadata Meta; spec PodSpec
PodSpec
 volumes []Volume key=name retain; initContainers []Container key=name; containers []Container key=name !; ephemeralContainers []Container key=name
 restartPolicy s; terminationGracePeriodSeconds i; activeDeadlineSeconds i; dnsPolicy s; nodeSelector {}s atomic
 serviceAccountName s; serviceAccount s; automountServiceAccountToken b; nodeName s; hostNetwork b; hostPID b; hostIPC b
 shareProcessNamespace b; securityContext PodSecurity; imagePullSecrets []LocalRef key=name; hostname s; subdomain s
 affinity Affinity; schedulerName s; tolerations []Toleration atomic; hostAliases []HostAlias key=ip; priorityClassName s; priority i
 dnsConfig DnsConfig; readinessGates []ReadinessGate atomic; runtimeClassName s; enableServiceLinks b; preemptionPolicy s; overhead {}q
 topologySpreadConstraints []Spread key=topologyKey,whenUnsatisfiable; setHostnameAsFQDN b; os PodOS; hostUsers b
 schedulingGates []Gate key=name; resourceClaims []any key=name retain; resources Resources; hostnameOverride s
PodOS
 name s !
Gate
 name s !
ReadinessGate
 conditionType s !
DnsConfig
 nameservers []s atomic; searches []s atomic; options []DnsOption atomic
DnsOption
 name s; value s
HostAlias
 ip s !; hostnames []s atomic
Toleration
 key s; operator s; value s; effect s; tolerationSeconds i
Spread
 maxSkew i !; topologyKey s !; whenUnsatisfiable s !; labelSelector LabelSelector; minDomains i; nodeAffinityPolicy s; nodeTaintsPolicy s; matchLabelKeys []s atomic
Affinity
 nodeAffinity NodeAffinity; podAffinity PodAffinity; podAntiAffinity PodAffinity
NodeAffinity
 requiredDuringSchedulingIgnoredDuringExecution NodeSelector; preferredDuringSchedulingIgnoredDuringExecution []PreferredNode atomic
PreferredNode
 weight i !; preference NodeTerm !
NodeSelector atomic
 nodeSelectorTerms []NodeTerm atomic !
NodeTerm atomic
 matchExpressions []LabelRequirement atomic; matchFields []LabelRequirement atomic
PodAffinity
 requiredDuringSchedulingIgnoredDuringExecution []PodTerm atomic; preferredDuringSchedulingIgnoredDuringExecution []PreferredPod atomic
PreferredPod
 weight i !; podAffinityTerm PodTerm !
PodTerm
 labelSelector LabelSelector; namespaces []s atomic; topologyKey s !; namespaceSelector LabelSelector; matchLabelKeys []s atomic; mismatchLabelKeys []s atomic
PodSecurity
 seLinuxOptions any; windowsOptions any; runAsUser i; runAsGroup i; runAsNonRoot b; supplementalGroups []i atomic; supplementalGroupsPolicy s; fsGroup i
 sysctls []Sysctl atomic; fsGroupChangePolicy s; seccompProfile any; appArmorProfile any; seLinuxChangePolicy s
Sysctl
 name s !; value s !
Container
 name s !; image s; command []s atomic; args []s atomic; workingDir s; ports []ContainerPort key=containerPort,protocol
 envFrom []EnvFrom atomic; env []EnvVar key=name; resources Resources; resizePolicy []any atomic; restartPolicy s; restartPolicyRules []any atomic
 volumeMounts []VolumeMount key=mountPath; volumeDevices []VolumeDevice key=devicePath; livenessProbe Probe; readinessProbe Probe; startupProbe Probe
 lifecycle Lifecycle; terminationMessagePath s; terminationMessagePolicy s; imagePullPolicy s; securityContext ContainerSecurity
 stdin b; stdinOnce b; tty b; targetContainerName s
ContainerPort
 name s; hostPort i; containerPort i !; protocol s =TCP; hostIP s
EnvFrom
 prefix s; configMapRef OptionalRef; secretRef OptionalRef
OptionalRef
 name s; optional b
EnvVar
 name s !; value s; valueFrom EnvSource
EnvSource
 fieldRef FieldRef; resourceFieldRef ResourceFieldRef; configMapKeyRef KeyRef; secretKeyRef KeyRef; fileKeyRef any
FieldRef atomic
 apiVersion s; fieldPath s !
ResourceFieldRef atomic
 containerName s; resource s !; divisor q
KeyRef atomic
 name s; key s !; optional b
Resources
 limits {}q; requests {}q; claims []ResourceClaim key=name
ResourceClaim
 name s !; request s
VolumeMount
 name s !; readOnly b; recursiveReadOnly s; mountPath s !; subPath s; mountPropagation s; subPathExpr s
VolumeDevice
 name s !; devicePath s !
Probe
 exec ExecAction; httpGet HttpGet; tcpSocket TcpSocket; grpc Grpc; initialDelaySeconds i; timeoutSeconds i; periodSeconds i
 successThreshold i; failureThreshold i; terminationGracePeriodSeconds i
ExecAction
 command []s atomic
HttpGet
 path s; port is !; host s; scheme s; httpHeaders []HttpHeader atomic
HttpHeader
 name s !; value s !
TcpSocket
 port is !; host s
Grpc
 port i !; service s
Lifecycle
 postStart Handler; preStop Handler; stopSignal s
Handler
 exec ExecAction; httpGet HttpGet; tcpSocket TcpSocket; sleep Sleep
Sleep
 seconds i !
ContainerSecurity
 capabilities Capabilities; privileged b; seLinuxOptions any; windowsOptions any; runAsUser i; runAsGroup i; runAsNonRoot b
 readOnlyRootFilesystem b; allowPrivilegeEscalation b; procMount s; seccompProfile any; appArmorProfile any
Capabilities
 add []s atomic; drop []s atomic
Volume
 name s !; hostPath HostPath; emptyDir EmptyDir; secret SecretVolume; configMap ConfigMapVolume; persistentVolumeClaim ClaimVolume
 downwardAPI DownwardVolume; projected Projected; ephemeral any; nfs any; csi any; gcePersistentDisk any; awsElasticBlockStore any
 gitRepo any; iscsi any; glusterfs any; rbd any; flexVolume any; cinder any; cephfs any; flocker any; fc any; azureFile any; azureDisk any
 vsphereVolume any; quobyte any; photonPersistentDisk any; portworxVolume any; scaleIO any; storageos any; image any
HostPath
 path s !; type s
EmptyDir
 medium s; sizeLimit q
SecretVolume
 secretName s; items []KeyToPath atomic; defaultMode i; optional b
ConfigMapVolume
 name s; items []KeyToPath atomic; defaultMode i; optional b
KeyToPath
 key s !; path s !; mode i
ClaimVolume
 claimName s !; readOnly b
DownwardVolume
 items []DownwardFile atomic; defaultMode i
DownwardFile
 path s !; fieldRef FieldRef; resourceFieldRef ResourceFieldRef; mode i
Projected
 sources []ProjectedSource atomic; defaultMode i
ProjectedSource
 secret ProjectedRef; configMap ProjectedRef; downwardAPI DownwardVolume; serviceAccountToken TokenSource; clusterTrustBundle any; podCertificate any
ProjectedRef
 name s; items []KeyToPath atomic; optional b
TokenSource
 audience s; expirationSeconds i; path s !
PodStatus
 observedGeneration i; phase s; conditions []Condition key=type; message s; reason s; nominatedNodeName s; hostIP s; hostIPs []IP atomic merge=ip
 podIP s; podIPs []IP key=ip; startTime t; initContainerStatuses []any atomic; containerStatuses []any atomic; qosClass s
 ephemeralContainerStatuses []any atomic; resize s; resourceClaimStatuses []any key=name
IP
 ip s !

Service
 spec ServiceSpec; status ServiceStatus
ServiceSpec
 ports []ServicePort key=port,protocol; selector {}s atomic; clusterIP s; clusterIPs []s atomic; type s; externalIPs []s atomic; sessionAffinity s
 loadBalancerIP s; loadBalancerSourceRanges []s atomic; externalName s; externalTrafficPolicy s; healthCheckNodePort i
 publishNotReadyAddresses b; sessionAffinityConfig any; ipFamilies []s atomic; ipFamilyPolicy s; allocateLoadBalancerNodePorts b
 loadBalancerClass s; internalTrafficPolicy s; trafficDistribution s
ServicePort
 name s; protocol s =TCP; appProtocol s; port i !; targetPort is; nodePort i
ServiceStatus
 loadBalancer LoadBalancer; conditions []Condition key=type
LoadBalancer
 ingress []any atomic

Endpoints
 subsets []Subset atomic
Subset
 addresses []EndpointAddress atomic; notReadyAddresses []EndpointAddress atomic; ports []EndpointPort atomic
EndpointAddress atomic
 ip s !; hostname s; nodeName s; targetRef ObjectRef
EndpointPort atomic
 name s; port i !; protocol s; appProtocol s
ConfigMap
 data {}s; binaryData {}s; immutable b
Secret
 data {}s; stringData {}s; type s; immutable b
ServiceAccount
 secrets []ObjectRef key=name; imagePullSecrets []LocalRef atomic; automountServiceAccountToken b

PersistentVolumeClaim
 spec ClaimSpec; status ClaimStatus
ClaimSpec
 accessModes []s atomic; selector LabelSelector; resources Resources; volumeName s; storageClassName s; volumeMode s; dataSource TypedRef; dataSourceRef TypedRef
 volumeAttributesClassName s
ClaimStatus
 phase s; accessModes []s atomic; capacity {}q; conditions []Condition key=type; allocatedResources {}q; allocatedResourceStatuses {}s
 currentVolumeAttributesClassName s; modifyVolumeStatus any
PersistentVolume
 spec VolumeSpec; status VolumeStatus
VolumeSpec
 capacity {}q; accessModes []s atomic; claimRef ObjectRef; persistentVolumeReclaimPolicy s; storageClassName s; mountOptions []s atomic; volumeMode s
 nodeAffinity VolumeNodeAffinity; hostPath HostPath; local any; nfs any; csi any; iscsi any; fc any; rbd any; cephfs any; volumeAttributesClassName s
 awsElasticBlockStore any; azureDisk any; azureFile any; cinder any; flexVolume any; flocker any; gcePersistentDisk any; glusterfs any
 photonPersistentDisk any; portworxVolume any; quobyte any; scaleIO any; storageos any; vsphereVolume any
VolumeNodeAffinity
 required NodeSelector
VolumeStatus
 phase s; message s; reason s; lastPhaseTransitionTime t

Event
 involvedObject ObjectRef !; reason s; message s; source EventSource; firstTimestamp t; lastTimestamp t; count i; type s; eventTime t
 series EventSeries; action s; related ObjectRef; reportingComponent s; reportingInstance s
EventSource
 component s; host s
EventSeries
 count i; lastObservedTime t

Node
 spec NodeSpec; status NodeStatus
NodeSpec
 podCIDR s; podCIDRs []s set; providerID s; unschedulable b; taints []Taint atomic; configSource any; externalID s
Taint
 key s !; value s; effect s !; timeAdded t
NodeStatus
 capacity {}q; allocatable {}q; phase s; conditions []Condition key=type; addresses []NodeAddress key=type; daemonEndpoints any; nodeInfo any
 images []any atomic; volumesInUse []s atomic; volumesAttached []any atomic; config any; runtimeHandlers []any atomic; features any; declaredFeatures []s atomic
NodeAddress
 type s !; address s !

StatefulSet
 spec StatefulSetSpec; status StatefulSetStatus
StatefulSetSpec
 replicas i; selector LabelSelector !; template PodTemplate !; volumeClaimTemplates []ClaimTemplate atomic; serviceName s; podManagementPolicy s
 updateStrategy StatefulSetStrategy; revisionHistoryLimit i; minReadySeconds i; persistentVolumeClaimRetentionPolicy Retention; ordinals Ordinals
ClaimTemplate
 apiVersion s; kind s; metadata Meta; spec ClaimSpec; status ClaimStatus
StatefulSetStrategy
 type s; rollingUpdate StatefulSetRolling
StatefulSetRolling
 partition i; maxUnavailable is
Retention
 whenDeleted s; whenScaled s
Ordinals
 start i
StatefulSetStatus
 observedGeneration i; replicas i; readyReplicas i; currentReplicas i; updatedReplicas i; currentRevision s; updateRevision s; collisionCount i
 conditions []Condition key=type; availableReplicas i
Deployment
 spec DeploymentSpec; status DeploymentStatus
DeploymentSpec
 replicas i; selector LabelSelector !; template PodTemplate !; strategy DeploymentStrategy retain; minReadySeconds i; revisionHistoryLimit i; paused b
 progressDeadlineSeconds i
DeploymentStrategy
 type s; rollingUpdate DeploymentRolling
DeploymentRolling
 maxUnavailable is; maxSurge is
DeploymentStatus
 observedGeneration i; replicas i; updatedReplicas i; readyReplicas i; availableReplicas i; unavailableReplicas i; terminatingReplicas i
 conditions []Condition key=type; collisionCount i
ReplicaSet
 spec ReplicaSetSpec; status ReplicaSetStatus
ReplicaSetSpec
 replicas i; minReadySeconds i; selector LabelSelector !; template PodTemplate
ReplicaSetStatus
 replicas i; fullyLabeledReplicas i; readyReplicas i; availableReplicas i; terminatingReplicas i; observedGeneration i; conditions []Condition key=type
ControllerRevision
 data any; revision i !
Job
 spec JobSpec; status any
JobSpec
 parallelism i; completions i; activeDeadlineSeconds i; backoffLimit i; selector LabelSelector; manualSelector b; template PodTemplate !
 ttlSecondsAfterFinished i; completionMode s; suspend b; podFailurePolicy any; backoffLimitPerIndex i; maxFailedIndexes i; podReplacementPolicy s
 managedBy s; successPolicy any
CronJob
 spec CronJobSpec; status CronJobStatus
CronJobSpec
 schedule s !; timeZone s; startingDeadlineSeconds i; concurrencyPolicy s; suspend b; jobTemplate JobTemplate !
 successfulJobsHistoryLimit i; failedJobsHistoryLimit i
JobTemplate
 metadata Meta; spec JobSpec
CronJobStatus
 active []ObjectRef atomic; lastScheduleTime t; lastSuccessfulTime t
ResourceQuota
 spec QuotaSpec; status QuotaStatus
QuotaSpec
 hard {}q; scopes []s atomic; scopeSelector any
QuotaStatus
 hard {}q; used {}q
LimitRange
 spec LimitRangeSpec
LimitRangeSpec
 limits []LimitRangeItem atomic !
LimitRangeItem
 type s !; max {}q; min {}q; default {}q; defaultRequest {}q; maxLimitRequestRatio {}q
PodDisruptionBudget
 spec BudgetSpec; status BudgetStatus
BudgetSpec
 minAvailable is; selector LabelSelector replace; maxUnavailable is; unhealthyPodEvictionPolicy s
BudgetStatus
 observedGeneration i; disruptedPods {}t; disruptionsAllowed i; currentHealthy i; desiredHealthy i; expectedPods i; conditions []Condition key=type
Lease
 spec LeaseSpec
LeaseSpec
 holderIdentity s; leaseDurationSeconds i; acquireTime t; renewTime t; leaseTransitions i; strategy s; preferredHolder s
EndpointSlice
 addressType s !; endpoints []SliceEndpoint atomic; ports []EndpointPort atomic
SliceEndpoint
 addresses []s set; conditions SliceConditions; hostname s; targetRef ObjectRef; deprecatedTopology {}s; nodeName s; zone s; hints any
SliceConditions
 ready b; serving b; terminating b
StorageClass
 provisioner s !; parameters {}s; reclaimPolicy s; mountOptions []s atomic; allowVolumeExpansion b; volumeBindingMode s; allowedTopologies []any atomic
PriorityClass
 value i !; globalDefault b; description s; preemptionPolicy s
Role
 rules []PolicyRule atomic
ClusterRole
 rules []PolicyRule atomic; aggregationRule any
PolicyRule
 verbs []s atomic !; apiGroups []s atomic; resources []s atomic; resourceNames []s atomic; nonResourceURLs []s atomic
RoleBinding
 subjects []Subject atomic; roleRef RoleRef !
ClusterRoleBinding
 subjects []Subject atomic; roleRef RoleRef !
Subject atomic
 kind s !; apiGroup s; name s !; namespace s
RoleRef atomic
 apiGroup s; kind s !; name s !
NetworkPolicy
 spec NetworkPolicySpec
NetworkPolicySpec
 podSelector LabelSelector; ingress []PolicyIngress atomic; egress []PolicyEgress atomic; policyTypes []s atomic
PolicyIngress
 ports []PolicyPort atomic; from []PolicyPeer atomic
PolicyEgress
 ports []PolicyPort atomic; to []PolicyPeer atomic
PolicyPort
 protocol s; port is; endPort i
PolicyPeer
 podSelector LabelSelector; namespaceSelector LabelSelector; ipBlock PolicyBlock
PolicyBlock
 cidr s !; except []s atomic
TokenReview
 spec TokenReviewSpec; status any
TokenReviewSpec
 token s; audiences []s atomic
SelfSubjectReview
 status any
LocalSubjectAccessReview
 spec AccessReviewSpec !; status any
SubjectAccessReview
 spec AccessReviewSpec !; status any
AccessReviewSpec
 resourceAttributes ResourceAccess; nonResourceAttributes PathAccess; user s; groups []s atomic; extra any; uid s
SelfSubjectAccessReview
 spec SelfAccessSpec !; status any
SelfAccessSpec
 resourceAttributes ResourceAccess; nonResourceAttributes PathAccess
ResourceAccess
 namespace s; verb s; group s; version s; resource s; subresource s; name s; fieldSelector any; labelSelector any
PathAccess
 path s; verb s
SelfSubjectRulesReview
 spec RulesReviewSpec !; status any
RulesReviewSpec
 namespace s
CustomResourceDefinition
 spec CrdSpec !; status CrdStatus
CrdSpec
 group s !; names CrdNames !; scope s !; versions []CrdVersion atomic !; conversion any; preserveUnknownFields b
CrdNames
 plural s !; singular s; shortNames []s atomic; kind s !; listKind s; categories []s atomic
CrdVersion
 name s !; served b !; storage b !; deprecated b; deprecationWarning s; schema CrdSchema; subresources any; additionalPrinterColumns []CrdColumn atomic; selectableFields []any atomic
CrdSchema
 openAPIV3Schema any
CrdColumn
 name s !; type s !; format s; description s; priority i; jsonPath s !
CrdStatus
 conditions []Condition key=type; acceptedNames CrdNames; storedVersions []s atomic; observedGeneration i
"""  # noqa: E501 - a table reads best with related fields together

_SCALARS: Mapping[str, Schema] = {
    "s": {"type": "string"},
    "i": {"type": "integer"},
    "b": {"type": "boolean"},
    "n": {"type": "number"},
    "q": {"x-kubernetes-int-or-string": True},
    "is": {"x-kubernetes-int-or-string": True},
    "t": {"type": "string", "format": "date-time", "nullable": True},
    "any": {"x-kubernetes-preserve-unknown-fields": True},
}


def _parse_table() -> dict[str, tuple[list[str], list[list[str]]]]:
    """Type name -> (its flags, its fields as words)."""
    types: dict[str, tuple[list[str], list[list[str]]]] = {}
    fields: list[list[str]] = []
    for line in _TABLE.splitlines():
        if not line.strip():
            continue
        if line.startswith(" "):
            fields += [one.split() for one in line.split(";")]
        else:
            name, *flags = line.split()
            fields = []
            types[name] = (flags, fields)
    return types


_TYPES = _parse_table()


@functools.cache
def type_schema(name: str) -> Schema:
    """The schema of one type of the table, as a structural schema with Kubernetes' merge extensions."""
    if name in _SCALARS:
        return _SCALARS[name]
    flags, fields = _TYPES[name]
    schema: dict[str, Any] = {"type": "object", "properties": {one[0]: _field_schema(one) for one in fields}}
    required = [one[0] for one in fields if "!" in one[2:]]
    if required:
        schema["required"] = required
    if "atomic" in flags:
        schema["x-kubernetes-map-type"] = "atomic"
    return schema


def _field_schema(words: list[str]) -> Schema:
    _, kind, *flags = words
    schema: dict[str, Any]
    if kind.startswith("[]"):
        schema = {"type": "array", "items": type_schema(kind[2:])}
        keys = next((flag.removeprefix("key=").split(",") for flag in flags if flag.startswith("key=")), None)
        merge = next((flag.removeprefix("merge=") for flag in flags if flag.startswith("merge=")), None)
        strategy = "merge,retainKeys" if "retain" in flags else "merge"
        if keys:
            schema |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys}
            schema |= {"x-kubernetes-patch-merge-key": keys[0], "x-kubernetes-patch-strategy": strategy}
        elif "set" in flags:
            schema |= {"x-kubernetes-list-type": "set", "x-kubernetes-patch-strategy": "merge"}
        else:
            schema["x-kubernetes-list-type"] = "atomic"
            if merge:
                schema |= {"x-kubernetes-patch-merge-key": merge, "x-kubernetes-patch-strategy": "merge"}
    elif kind.startswith("{}"):
        schema = {"type": "object", "additionalProperties": type_schema(kind[2:])}
        if "atomic" in flags:
            schema["x-kubernetes-map-type"] = "atomic"
    else:
        schema = dict(type_schema(kind))
        for flag in flags:
            if flag.startswith("="):
                schema["default"] = flag[1:]
        if "retain" in flags:
            schema["x-kubernetes-patch-strategy"] = "retainKeys"
        if "replace" in flags:
            schema["x-kubernetes-patch-strategy"] = "replace"
    return schema


@functools.cache
def kind_schema(kind: str) -> Schema:
    """The schema of a built-in kind, root fields included."""
    schema = dict(type_schema(kind))
    roots: dict[str, Schema] = {"apiVersion": _SCALARS["s"], "kind": _SCALARS["s"], "metadata": type_schema("Meta")}
    schema["properties"] = {**roots, **schema["properties"]}
    return schema


METADATA: Schema = type_schema("Meta")
