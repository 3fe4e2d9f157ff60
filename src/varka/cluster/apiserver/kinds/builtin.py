"""The table of builtin resources."""

from __future__ import annotations

from varka.cluster.apiserver.registry import ALL_VERBS, ResourceInfo

# group/version: definition package, then one line a resource: plural Kind scope(n|c) short names|- categories|- subresources|-
_TABLE = """
v1 core
  bindings Binding n - - - create
  configmaps ConfigMap n cm - -
  endpoints Endpoints n ep - -
  events Event n ev - -
  limitranges LimitRange n limits - -
  namespaces Namespace c ns - finalize,status
  nodes Node c no - proxy,status
  persistentvolumeclaims PersistentVolumeClaim n pvc - status
  persistentvolumes PersistentVolume c pv - status
  pods Pod n po all attach,binding,ephemeralcontainers,eviction,exec,log,portforward,proxy,resize,status
  podtemplates PodTemplate n - - -
  replicationcontrollers ReplicationController n rc all scale,status
  resourcequotas ResourceQuota n quota - status
  secrets Secret n - - -
  serviceaccounts ServiceAccount n sa - token
  services Service n svc all proxy,status
apiregistration.k8s.io/v1 *io.k8s.kube-aggregator.pkg.apis.apiregistration
  apiservices APIService c - api-extensions status
apps/v1 apps
  controllerrevisions ControllerRevision n - - -
  daemonsets DaemonSet n ds all status
  deployments Deployment n deploy all scale,status
  replicasets ReplicaSet n rs all scale,status
  statefulsets StatefulSet n sts all scale,status
events.k8s.io/v1 events
  events Event n ev - -
autoscaling/v2 autoscaling
  horizontalpodautoscalers HorizontalPodAutoscaler n hpa all status
batch/v1 batch
  cronjobs CronJob n cj all status
  jobs Job n - all status
certificates.k8s.io/v1 certificates
  certificatesigningrequests CertificateSigningRequest c csr - approval,status
networking.k8s.io/v1 networking
  ingressclasses IngressClass c - - -
  ingresses Ingress n ing - status
  networkpolicies NetworkPolicy n netpol - -
policy/v1 policy
  poddisruptionbudgets PodDisruptionBudget n pdb - status
rbac.authorization.k8s.io/v1 rbac
  clusterrolebindings ClusterRoleBinding c - - -
  clusterroles ClusterRole c - - -
  rolebindings RoleBinding n - - -
  roles Role n - - -
storage.k8s.io/v1 storage
  csidrivers CSIDriver c - - -
  csinodes CSINode c - - -
  storageclasses StorageClass c sc - -
  volumeattachments VolumeAttachment c - - status
admissionregistration.k8s.io/v1 admissionregistration
  mutatingwebhookconfigurations MutatingWebhookConfiguration c - api-extensions -
  validatingadmissionpolicies ValidatingAdmissionPolicy c - api-extensions status
  validatingadmissionpolicybindings ValidatingAdmissionPolicyBinding c - api-extensions -
  validatingwebhookconfigurations ValidatingWebhookConfiguration c - api-extensions -
apiextensions.k8s.io/v1 *io.k8s.apiextensions-apiserver.pkg.apis.apiextensions
  customresourcedefinitions CustomResourceDefinition c crd,crds api-extensions status
scheduling.k8s.io/v1 scheduling
  priorityclasses PriorityClass c pc - -
coordination.k8s.io/v1 coordination
  leases Lease n - - -
node.k8s.io/v1 node
  runtimeclasses RuntimeClass c - - -
discovery.k8s.io/v1 discovery
  endpointslices EndpointSlice n - - -
"""


def _words(text: str) -> tuple[str, ...]:
    return () if text == "-" else tuple(text.split(","))


def infos() -> list[ResourceInfo]:
    """All builtin resources, in the order of Kubernetes' discovery."""
    found: list[ResourceInfo] = []
    group = version = package = ""
    for line in _TABLE.strip().splitlines():
        if not line.startswith(" "):
            api_version, package = line.split()
            group, _, version = api_version.rpartition("/")
            package = package[1:] if package.startswith("*") else f"io.k8s.api.{package}"
            continue
        plural, kind, scope, short, categories, subresources, *verbs = line.split()
        found.append(
            ResourceInfo(
                group=group,
                version=version,
                resource=plural,
                kind=kind,
                singular=kind.lower(),
                namespaced=scope == "n",
                short_names=_words(short),
                categories=_words(categories),
                subresources=_words(subresources),
                verbs=tuple(verbs) or ALL_VERBS,
                storage_version=version,
                schema_ref=f"{package}.{version}.{kind}",
                list_kind=f"{kind}List",
                stored_as="events" if group == "events.k8s.io" else "",
            )
        )
    return found
