{{- /* The pod template of the StatefulSet and of the Deployment. */}}
{{- define "corvo.pod" -}}
metadata:
  labels:
    {{- include "corvo.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .Values.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "corvo.serviceAccount" . }}
  # The server never calls the Kubernetes API.
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile:
      type: RuntimeDefault
  containers:
    - name: corvo
      image: {{ include "corvo.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      env:
        - name: CORVO_BIND
          value: "0.0.0.0:8080"
        {{- if eq .Values.store "postgres" }}
        - name: CORVO_DATABASE_URL
          valueFrom:
            secretKeyRef:
              name: {{ .Values.postgres.secret.name }}
              key: {{ .Values.postgres.secret.key }}
        {{- end }}
        {{- if .Values.adminKey.secret.name }}
        - name: CORVO_BOOTSTRAP_KEY_FILE
          value: /run/secrets/corvo/admin-key
        {{- end }}
        {{- range $name, $value := .Values.settings }}
        - name: CORVO_{{ $name | upper | replace "-" "_" }}
          # Format numbers as JSON, because Helm writes large numbers like 1.6e+07.
          value: {{ kindIs "string" $value | ternary $value ($value | toJson) | quote }}
        {{- end }}
        {{- with .Values.env }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        - name: http
          containerPort: 8080
      # A migration of a large database can take minutes and must not be killed.
      startupProbe:
        httpGet:
          path: /healthz
          port: http
        periodSeconds: 2
        timeoutSeconds: 5
        failureThreshold: 300
      livenessProbe:
        httpGet:
          {{- if eq .Values.store "postgres" }}
          # Needs no API key and does not query the database: when it is down, restarting the servers does
          # not help.
          path: /api/v1/auth/status
          {{- else }}
          path: /healthz
          {{- end }}
          port: http
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 3
      readinessProbe:
        httpGet:
          path: /readyz
          port: http
        periodSeconds: 5
        timeoutSeconds: 5
        failureThreshold: 2
      {{- if eq .Values.store "postgres" }}
      lifecycle:
        preStop:
          exec:
            # Keep serving until Kubernetes sends new requests to other pods.
            command: [sleep, "5"]
      {{- end }}
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      {{- if or (eq .Values.store "sqlite") .Values.adminKey.secret.name }}
      volumeMounts:
        {{- if eq .Values.store "sqlite" }}
        - name: data
          mountPath: /data
        {{- end }}
        {{- if .Values.adminKey.secret.name }}
        - name: admin-key
          mountPath: /run/secrets/corvo
          readOnly: true
        {{- end }}
      {{- end }}
  {{- if or (and (eq .Values.store "sqlite") .Values.persistence.existingClaim) .Values.adminKey.secret.name }}
  volumes:
    {{- if and (eq .Values.store "sqlite") .Values.persistence.existingClaim }}
    - name: data
      persistentVolumeClaim:
        claimName: {{ .Values.persistence.existingClaim }}
    {{- end }}
    {{- if .Values.adminKey.secret.name }}
    - name: admin-key
      secret:
        secretName: {{ .Values.adminKey.secret.name }}
        # For the server's group only: see fsGroup.
        defaultMode: 0440
        # Servers start without the Secret once the store has keys.
        optional: true
        items:
          - key: {{ .Values.adminKey.secret.key }}
            path: admin-key
    {{- end }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
{{- end }}
