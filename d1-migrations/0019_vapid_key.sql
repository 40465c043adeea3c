CREATE TABLE `vapid_keys` (
	`id` integer PRIMARY KEY NOT NULL,
	`jwk` text NOT NULL,
	`created_at` integer NOT NULL
);
