CREATE TABLE `access_tokens` (
	`hash` text PRIMARY KEY NOT NULL,
	`user_id` text NOT NULL,
	`device_id` text NOT NULL,
	`generation` integer NOT NULL,
	`is_settled` integer NOT NULL,
	`created_at` integer NOT NULL,
	`expires_at` integer,
	FOREIGN KEY (`user_id`,`device_id`) REFERENCES `devices`(`user_id`,`device_id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE INDEX `access_tokens_by_device` ON `access_tokens` (`user_id`,`device_id`);--> statement-breakpoint
CREATE TABLE `devices` (
	`user_id` text NOT NULL,
	`device_id` text NOT NULL,
	`display_name` text,
	`created_at` integer NOT NULL,
	`last_seen_at` integer,
	`last_seen_ip` text,
	PRIMARY KEY(`user_id`, `device_id`),
	FOREIGN KEY (`user_id`) REFERENCES `users`(`user_id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE TABLE `interactive_auth_sessions` (
	`session` text PRIMARY KEY NOT NULL,
	`purpose` text NOT NULL,
	`completed` text NOT NULL,
	`registration_token` text,
	`created_at` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `interactive_auth_sessions_by_age` ON `interactive_auth_sessions` (`created_at`);--> statement-breakpoint
CREATE TABLE `profiles` (
	`user_id` text PRIMARY KEY NOT NULL,
	`fields` text NOT NULL,
	FOREIGN KEY (`user_id`) REFERENCES `users`(`user_id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE TABLE `refresh_tokens` (
	`hash` text PRIMARY KEY NOT NULL,
	`user_id` text NOT NULL,
	`device_id` text NOT NULL,
	`generation` integer NOT NULL,
	`created_at` integer NOT NULL,
	FOREIGN KEY (`user_id`,`device_id`) REFERENCES `devices`(`user_id`,`device_id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE INDEX `refresh_tokens_by_device` ON `refresh_tokens` (`user_id`,`device_id`);--> statement-breakpoint
CREATE TABLE `registration_tokens` (
	`token` text PRIMARY KEY NOT NULL,
	`uses_allowed` integer,
	`uses` integer DEFAULT 0 NOT NULL,
	`created_at` integer NOT NULL,
	`expires_at` integer,
	CONSTRAINT "uses_within_allowed" CHECK("registration_tokens"."uses_allowed" IS NULL OR "registration_tokens"."uses" <= "registration_tokens"."uses_allowed")
);
--> statement-breakpoint
CREATE TABLE `signing_keys` (
	`key_id` text PRIMARY KEY NOT NULL,
	`seed` text,
	`public_key` text NOT NULL,
	`current` integer,
	`created_at` integer NOT NULL,
	`expired_at` integer
);
--> statement-breakpoint
CREATE UNIQUE INDEX `signing_keys_current_unique` ON `signing_keys` (`current`);--> statement-breakpoint
CREATE TABLE `users` (
	`user_id` text PRIMARY KEY NOT NULL,
	`password_hash` text,
	`is_guest` integer DEFAULT false NOT NULL,
	`is_admin` integer DEFAULT false NOT NULL,
	`created_at` integer NOT NULL,
	`deactivated_at` integer
);
